"""What scripts/proof runs: `command` gives each of `parts` its time, `page` writes what came of it.

`workloads` look for faults themselves; `fuzzers` and `sanitizers` build what other parts run on.
"""

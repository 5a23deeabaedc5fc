"""Workloads that look for faults of the library for as long as they are given.

# Promise

- Each part (crash, corruption, snapshot, leases) is a function `run(job)` that goes on for so many
  rounds or seconds and returns a record: what was done how often, and what was found.
- A failure ends its round and nothing else. It says the seed and the round, whose random choices
  are a function of the two. What processes do at the same time is not: the system decides that.
- What makes a history wrong is said by functions without processes or files (ledger.py, harm.py,
  bank.py, history.py), which have tests of their own: a checker that sees nothing proves nothing.

# How

The tests run each part for a few rounds, `scripts/proof` for minutes; each part is also a command:

    cd python-tests && ../.venv/bin/python -m proof.workloads crash --seconds 60 --seed 7

The processes that write while the library works commit by the SQLite of their own Python, and never
checkpoint. That is left to the library, because two checkpoints of a SQLite before 3.51.3 can lose
a commit, whatever the library does.
"""

"""What the tests, the proof, the benchmarks and the demo share; the hosts lie in `hosts`.

- queues: databases made for a test, what they hold, and random changes to them
- workers: processes that use a database while the library works on it
- artifacts: backups of every kind, and looks at them without the library
- faults: file operations that fail, power that is lost, files that are damaged or cannot be deleted
- hostile: databases, directories and races that an attacker made
- users: other users of the machine, and what they may
- package: the Python package in environments of its own, its command line, and PrismQ's backend
- servers: what listens on loopback for notifications and off-site copies
- weeks: weeks of run-due by a clock of the test's own, while faults come and go
- documents: what the documents and the declaration say
- compiling, eventually, memory, schedules, states: C programs; waiting; directories without a disk;
  runs of the schedule; the states a caller can be in
"""

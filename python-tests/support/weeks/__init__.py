"""Weeks of run-due by a clock of the test's own, with faults that come and go at random.

- world: the faults, and the processes and clocks that make them
- oracle: what each call has to come to, computed from the faults and from what was tried
- calls: a call at each minute, and everything that can be seen of it; run as a program

The program runs in the package's environment, so nothing here imports what only tests have.
"""

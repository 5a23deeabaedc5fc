"""Measures queuekeeper beside what a user would take instead: run scripts/bench.

`data` makes the queues. `measure` times one call of a program or of the library, `rounds` repeats
them in alternation, and `idle`, `load`, `catalogs` and `tasks` are the groups of what is measured.
Between measuring and showing lie plain figures as JSON (`raw`), so a page can be made anew without
measuring anew. `figures` and `goals` only calculate; `page` and `plots` show.
"""

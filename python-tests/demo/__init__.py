"""What scripts/demo runs: a queue that is in use, and a tour in SQL of what is done for it."""

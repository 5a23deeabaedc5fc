"""What the tests share: queues to work on, writers that disturb, and looks at what came out."""

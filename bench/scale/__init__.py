"""What becomes of hot path, start, purge and memory when there is a lot, and what several workers do."""

"""The admin API, by noun: what the command line does, with the same JSON."""

"""What deploy/ holds: linted, and where it can be, run."""

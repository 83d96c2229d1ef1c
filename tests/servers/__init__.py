"""Real servers for tests: Debian's binaries as processes of ours, which nothing outlives."""

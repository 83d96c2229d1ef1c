"""Our server beside others that do the same, on the same machine in the same run."""

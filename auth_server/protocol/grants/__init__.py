"""Protocol modules that have a grant_type."""

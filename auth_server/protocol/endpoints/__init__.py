"""Protocol modules that have a URL."""

"""Protocol modules that change other requests."""

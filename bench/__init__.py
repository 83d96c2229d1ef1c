"""The benchmark: how much of what a web server can do at best is left with the whole product behind it."""

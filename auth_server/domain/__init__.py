"""Rules that hold on every road: API, page, command line, admin."""

"""The documentation site: pages in docs/, pages made from the code, and what its tests need to read both."""

"""The stores, by the suites in conformance/ that every implementation must pass."""

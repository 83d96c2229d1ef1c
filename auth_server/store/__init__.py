"""Atomicity, expiry and uniqueness; no rule of the protocol."""

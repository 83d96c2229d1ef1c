"""Tokens on the wire, and what they say."""

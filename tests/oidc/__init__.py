"""The OpenID Provider: people sign in, clients are told."""

"""Pages for people: they sign in, choose an account, set a password, allow clients. All work without JavaScript."""

"""OpenAPI 3.1 of every endpoint, written from the declarations."""

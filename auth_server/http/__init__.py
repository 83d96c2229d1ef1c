"""What the HTTP world sees: bytes in, bytes out. The only package that knows Flask."""

"""What the specifications say: no Flask, no SQL, no Redis."""

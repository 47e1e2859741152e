"""A waste-lock controller that behaves, and misbehaves, like the real one, and writes down the truth."""

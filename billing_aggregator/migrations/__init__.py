"""The schema of billing's own books, step by step. Steps that were released are never changed."""

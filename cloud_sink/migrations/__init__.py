"""The ledger's schema, step by step. Steps that were released are never changed."""

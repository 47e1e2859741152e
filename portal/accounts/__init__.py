"""Who has access: users, sessions, API tokens, households' links; and the log of all writes. A database of its own."""

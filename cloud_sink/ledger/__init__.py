"""The ledger: an append-only book of records in SQLite or PostgreSQL. Start at `book.py`; read by `reading.py`."""

"""Schema of the accounts' database, step by step: Alembic finds the steps in `versions`."""

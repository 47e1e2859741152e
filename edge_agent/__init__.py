"""The gateway's program: reads controllers' journals, keeps them, sends them to the ledger. Start at agent.py."""

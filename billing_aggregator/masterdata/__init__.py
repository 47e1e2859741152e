"""Master data: who lived where, who held what, what it cost and how it is divided; effective-dated, append-only."""

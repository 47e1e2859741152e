"""Views of the ledger that are kept up to date as entries arrive; each can be dropped and built anew."""

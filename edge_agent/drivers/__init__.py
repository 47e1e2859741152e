"""One file for each controller map; base.py is the interface they share."""

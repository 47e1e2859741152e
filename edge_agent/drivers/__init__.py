"""One file for each controller map; base.py is the interface that all of them offer."""

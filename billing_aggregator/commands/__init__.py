"""The commands of `billing-aggregator`, a file for each group. What they share: `terminal.py`."""

"""The commands of `cloud-sink`, a file for each group. What they share: `terminal.py`."""

"""What developers run; no part of any program."""

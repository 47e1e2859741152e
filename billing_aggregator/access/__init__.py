"""Who may use which lock, by the master data: what the access lists of locks are worked out from.

master data ──▶ EstateAccess (reading.py) ──▶ WantedList of a lock at an instant (lists.py, pure)
"""

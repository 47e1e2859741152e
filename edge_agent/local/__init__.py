"""The agent's local door: a technician's commands look at it, and use its buses by turns."""

"""What a technician types: commands that look at locks, buses and spool, whether the agent runs or not."""

"""Orders from the cloud at the gateway: commands and desired states. START HERE: desk.py."""

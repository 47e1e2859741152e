"""`edge-agent bundle`: all that somebody far away needs to understand a gateway, without a secret or a transponder."""

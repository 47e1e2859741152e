"""The whole chain on one machine: real processes of simulator, broker, gateway and sink. Start at cli.py."""

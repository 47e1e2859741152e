"""The installation's own certificate authority: who may speak to the broker, and whose pages are believed."""

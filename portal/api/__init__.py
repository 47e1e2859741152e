"""JSON under /api/v1: each module has `router`; portal/app.py lists them."""

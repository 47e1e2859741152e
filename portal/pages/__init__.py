"""Pages for people, in HTML: each module has `router`; portal/app.py lists them."""

"""The web: API, live stream and pages, over what the sink, its projections and billing keep. START HERE: app.py."""

"""`feed`: reads a site's feed, from any number on."""

import sys
from typing import Annotated

import typer

from cloud_sink.commands.terminal import ConfigOption, exit_codes
from cloud_sink.config import load_config
from cloud_sink.feed_reading import READ_MAX, FeedReader

SiteOption = Annotated[str, typer.Option("--site", help="Whose feed: the site in the gateways' topics.")]
AfterOption = Annotated[
    int, typer.Option("--after", min=0, help="Begin behind this number; 0: at the first.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="So many events at most.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(feed)


def feed(config: ConfigOption, site: SiteOption, after: AfterOption = 0, limit: LimitOption = None) -> None:
    """Print the feed of a site, an event a line: each as it is, or will be, published to billing backends.

    Example: cloud-sink feed --config config/cloud-sink.toml --site lindenhof --after 1840 --limit 20
    """
    with exit_codes():
        settings = load_config(config)
        reader = FeedReader(settings.ledger.url, settings.projections_url)
        try:
            _print(reader, site, after, limit)
        finally:
            reader.close()


def _print(reader: FeedReader, site: str, after: int, limit: int | None) -> None:
    left = reader.last_sequence(site) if limit is None else limit
    while left > 0:
        events = reader.after(site, after, min(left, READ_MAX))
        if not events:
            return
        sys.stdout.buffer.writelines(event.to_json() + b"\n" for event in events)
        sys.stdout.buffer.flush()
        after, left = int(events[-1].sequence), left - len(events)

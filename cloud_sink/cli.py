"""The command line of the cloud sink."""

import typer

from cloud_sink.commands import (
    access_lists,
    alarms,
    authority,
    feed,
    importing,
    locks,
    looking,
    order_keys,
    orders,
    projections,
    running,
    sites,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Takes signed pages off MQTT into the append-only ledger, exactly once, and answers questions about it.\n\n"
    "Example: cloud-sink run --config config/cloud-sink.toml",
)
running.register(app)
looking.register(app)
projections.register(app)
feed.register(app)
importing.register(app)
authority.register(app)
app.add_typer(locks.app, name="lock")
app.add_typer(sites.app, name="site")
app.add_typer(alarms.app, name="alarm")
app.add_typer(orders.app, name="command")
app.add_typer(order_keys.app, name="orders-key")
app.add_typer(access_lists.lists, name="access-list")
app.add_typer(access_lists.transponders, name="transponder")


def main() -> None:
    """Entry point of the program `cloud-sink`."""
    app()

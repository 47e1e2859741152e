"""`site describe`: what people know of a site."""

from typing import Annotated

import typer

from cloud_sink.commands.terminal import (
    ActorOption,
    ConfigOption,
    ReasonOption,
    make_author,
    opened_operations,
)

app = typer.Typer(no_args_is_help=True, help="What people know of sites.")


@app.callback()
def sites() -> None:
    """What people know of sites.

    Example: cloud-sink site describe lindenhof --name "Lindenhof" --config config/cloud-sink.toml
    """


@app.command()
def describe(
    site: Annotated[str, typer.Argument(metavar="SITE", help="As in its gateways' topics.")],
    config: ConfigOption,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    street: Annotated[str | None, typer.Option(help="Street and number.")] = None,
    city: Annotated[str | None, typer.Option(help="Postcode and town.")] = None,
    property_id: Annotated[
        str | None, typer.Option("--property", help="The name under which billing knows the estate.")
    ] = None,
    latitude: Annotated[float | None, typer.Option(help="In degrees, north is positive.")] = None,
    longitude: Annotated[float | None, typer.Option(help="In degrees, east is positive.")] = None,
    reason: ReasonOption = "",
    actor: ActorOption = None,
) -> None:
    """Say what a site is called and where it is; what isn't given stays as it is.

    Example: cloud-sink site describe lindenhof --name Lindenhof --city "04275 Leipzig" --config FILE
    """
    given = {
        "name": name, "street": street, "city": city, "property_id": property_id,
        "latitude": latitude, "longitude": longitude,
    }  # fmt: skip
    changes = {field: value for field, value in given.items() if value is not None}
    with opened_operations(config) as operations:
        effect = operations.describe_site(site, changes, make_author(actor, reason))
    typer.echo(f"{site}: {effect}")

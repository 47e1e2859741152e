"""`orders-key make|public|add|retire|show`: what orders are signed with, and whose orders gateways believe."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from cloud_sink.authority.order_keys import add_order_key, retire_order_key
from cloud_sink.authority.register import OrderKeyRow
from cloud_sink.commands.authority import opened_authority
from cloud_sink.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    exit_codes,
    make_author,
    now,
)
from cloud_sink.config import Config, load_config
from cloud_sink.errors import ConfigError
from cloud_sink.orders.signing_key import load_signing_key, make_signing_key, public_text
from wastelock.page import SigningKey, format_instant

app = typer.Typer(no_args_is_help=True, help="What orders to gateways are signed with.")
# Keys and their ids are base64url: one in 64 begins with a dash, and is no option for that.
_MAY_BEGIN_WITH_DASH = {"ignore_unknown_options": True}


@app.command()
def make(config: ConfigOption) -> None:
    """Make the key that orders.signing_key names, and print its public half. Never replaces one.

    Example: cloud-sink orders-key make --config config/cloud-sink.toml
    """
    with exit_codes():
        settings = load_config(config, files_must_exist=False)
        path = _path(settings)
        _tell(make_signing_key(path))
        typer.echo(f"{path}: made. All sinks need this one; gateways believe it once it is added:", err=True)
        typer.echo(
            "with the authority: `cloud-sink orders-key add KEY`; without: `keys` in [orders] of each edge-agent.toml",
            err=True,
        )


@app.command()
def public(config: ConfigOption) -> None:
    """Print the public half of the key that orders.signing_key names, and its id.

    Example: cloud-sink orders-key public --config config/cloud-sink.toml
    """
    with exit_codes():
        _tell(load_signing_key(_path(load_config(config, files_must_exist=False))))


@app.command(context_settings=_MAY_BEGIN_WITH_DASH)
def add(
    config: ConfigOption,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Public half, as `orders-key public` prints it.")],
    reason: ReasonOption = "",
    actor: ActorOption = None,
) -> None:
    """Have gateways believe orders signed with this key: each from its next enrolment or renewal on.

    Example: cloud-sink orders-key add KEY --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, _):
        kid = add_order_key(authority.register, key, make_author(actor, reason), now())
        typer.echo(f"{kid}: in force for each gateway from its next answer of the authority on")


@app.command(context_settings=_MAY_BEGIN_WITH_DASH)
def retire(
    config: ConfigOption,
    kid: Annotated[str, typer.Argument(metavar="KID", help="Id of the key, as `orders-key show` lists it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with what was done.")],
    actor: ActorOption = None,
) -> None:
    """Have gateways no longer believe orders signed with this key, for ever: each from its next answer on.

    Example: cloud-sink orders-key retire KID --reason "replaced" --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, _):
        retire_order_key(authority.register, kid, make_author(actor, reason), now())
        typer.echo(f"{kid}: retired")


@app.command()
def show(config: ConfigOption, json: JsonOption = False) -> None:
    """List the keys that the authority has gateways believe, and those of the past.

    Example: cloud-sink orders-key show --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, _), authority.register.reading() as decision:
        rows = decision.order_keys()
    if json:
        typer.echo(json_module.dumps([_as_json(row) for row in rows]))
        return
    for row in rows:
        until = "in force" if row.retired_at is None else f"retired {format_instant(row.retired_at)}"
        typer.echo(f"{row.kid}  {row.public}  since {format_instant(row.since)}  {until}")
    if not rows:
        typer.echo("no order key: `cloud-sink orders-key add` has gateways believe one")


def _path(settings: Config) -> Path:
    if settings.orders.signing_key is None:
        raise ConfigError(["orders.signing_key is missing: add it (config/cloud-sink.toml shows how)"])
    return settings.orders.signing_key


def _tell(key: SigningKey) -> None:
    typer.echo(f"{public_text(key)}  {key.kid}")


def _as_json(row: OrderKeyRow) -> dict[str, str | None]:
    return {
        "kid": row.kid,
        "public_key": row.public,
        "since": format_instant(row.since),
        "retired_at": None if row.retired_at is None else format_instant(row.retired_at),
    }

"""The typer application: what people type. Each command is thin; the work is done by the modules that it names."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal, NoReturn

import typer

from edge_agent import enroll_command, running
from edge_agent.errors import EXIT_CONFIG, ConfigError, EdgeAgentError
from edge_agent.status import print_status, read_status
from edge_agent.technician import (
    bundle_command,
    chambers_command,
    commission_command,
    decommission_command,
    doctor_command,
    read_command,
    replace_command,
    scan_command,
    spool_command,
    watch_command,
)
from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, progress_on_stderr

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Reads waste locks' journals, keeps every record safe, sends them to the ledger.\n\n"
    "Example: edge-agent run --config /etc/wastelock/edge-agent.toml",
)


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    log_format: Annotated[
        Literal["auto", "json", "logfmt"], typer.Option(help="auto: logfmt on a terminal, else JSON.")
    ] = "auto",
) -> None:
    """Run the agent until SIGTERM. Log lines go to stderr.

    Example: edge-agent run --config /etc/wastelock/edge-agent.toml --log-format json
    """
    raise typer.Exit(running.run(config, log_format))


@app.command("check-config")
def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check the whole configuration and show all that is wrong with it at once; exit code 78 if anything is.

    Example: edge-agent check-config --config /etc/wastelock/edge-agent.toml
    """
    from edge_agent.config_rules import load_config, load_signing_key

    try:
        loaded = load_config(config)
    except ConfigError as error:
        _refuse(error)
    key = load_signing_key(loaded.gateway.signing_key)
    print(
        f"{loaded.file}: good: {len(loaded.locks)} locks on {len(loaded.buses)} buses, signing key {key.kid}"
    )


@app.command()
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what is in the spool and how far each lock's journal is safe; works whether the agent runs or not.

    Example: edge-agent status --config /etc/wastelock/edge-agent.toml --json
    """
    from edge_agent.config_rules import load_config

    try:
        loaded = load_config(config, check_files=False)
        seen = read_status(loaded)
    except ConfigError as error:
        _refuse(error)
    except EdgeAgentError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(asdict(seen), default=str))
    else:
        print_status(seen)


@app.command()
def keygen(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Make the key that signs this gateway's pages; print what the sink has to know of it. Never overwrites one.

    Example: edge-agent keygen --config /etc/wastelock/edge-agent.toml
    """
    from edge_agent.config_rules import load_config
    from edge_agent.keygen import make_signing_key
    from wastelock.page import to_base64url

    try:
        path = load_config(config, key_must_exist=False).gateway.signing_key
        key = make_signing_key(path)
    except ConfigError as error:
        _refuse(error)
    print(f"file        {path}")
    print(f"kid         {key.kid}")
    print(f"public key  {to_base64url(key.private.public_key().public_bytes_raw())}")


@app.command("rehearse")
def rehearse_upgrade(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Open a copy of the spool and replay it: whether this release can take it over. The spool is only read.

    Exit code 0: it can; 1: it can't, and why; 78: the configuration can't work with this release.

    Example: edge-agent rehearse --config /etc/wastelock/edge-agent.toml
    """
    from edge_agent.config_rules import load_config, load_signing_key
    from edge_agent.upgrade_rehearsal import rehearse

    try:
        loaded = load_config(config, key_must_exist=False)
        key_file = loaded.gateway.signing_key
        key = load_signing_key(key_file) if key_file.exists() else None
        with progress_on_stderr("pages") as progress:
            seen = rehearse(loaded, key, progress)
    except ConfigError as error:
        _refuse(error)
    except EdgeAgentError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(None if seen is None else asdict(seen)))
    elif seen is None:
        print(f"{loaded.spool.path}: no spool yet: nothing to take over")
    else:
        print(
            f"{loaded.spool.path}: good: {seen.records} records in {seen.pages} pages, {seen.signatures} signatures "
            f"hold, {seen.unreceipted_pages} pages wait for the ledger"
        )


enroll_command.register(app)
app.add_typer(spool_command.app, name="spool")
commission_command.register(app)
decommission_command.register(app)
chambers_command.register(app)
app.add_typer(replace_command.app, name="replace")
doctor_command.register(app)
bundle_command.register(app)
app.command()(read_command.read)
app.command()(watch_command.watch)
app.command()(scan_command.scan)


def _refuse(error: ConfigError) -> NoReturn:
    """Say what is wrong, and end with the code that tells systemd not to try again."""
    print(error, file=sys.stderr)
    raise typer.Exit(EXIT_CONFIG) from error

"""`edge-agent bundle`: diagnostics for somebody far away, in one file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.technician.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    exit_codes,
    said_on_stderr,
)


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(bundle)


def bundle(
    config: ConfigOption = DEFAULT_CONFIG,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write (.tar.gz); by default here.", metavar="FILE"),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", help="The agent's log, where systemd's journal doesn't keep it.", metavar="FILE"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pack what is needed to understand this gateway from afar: doctor, snapshot, log, machine, versions.

    Transponders' numbers, keys and passwords are taken out of everything; pages aren't in it.

    Example: edge-agent bundle --config /etc/wastelock/edge-agent.toml --out /mnt/gw-0001.tar.gz
    """
    from edge_agent.clock import utc_now
    from edge_agent.config_rules import load_config
    from edge_agent.technician.bundle.contents import Contents
    from edge_agent.technician.bundle.known_uids import known_uids
    from edge_agent.technician.bundle.packing import pack
    from edge_agent.technician.bundle.redaction import Redaction

    with exit_codes(), said_on_stderr("at most about a minute") as tell:
        loaded, at = load_config(config, check_files=False), utc_now()
        name = f"wastelock-{loaded.gateway.id}-{at:%Y%m%dT%H%M%SZ}"
        file, contents = out or Path(f"{name}.tar.gz"), Contents(loaded, log)
        tell("transponders' numbers, to leave them out")
        redaction = Redaction(known_uids(loaded.spool.path))
        names = pack(file, name, contents.gather(at, tell), redaction, at)
    size = file.stat().st_size
    if as_json:
        print(json.dumps({"file": str(file), "bytes": size, "pieces": names, "missing": contents.missing}))
        return
    print(f"{file}: {size / 1024:.0f} KiB, {len(names)} pieces, without transponders' numbers and secrets")
    for piece, why in contents.missing.items():
        print(f"without {piece}: {why}")

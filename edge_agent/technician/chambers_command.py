"""`edge-agent chambers`: switch a lock's chambers on or off from here, where the cloud can't be reached or asked."""

import json
import re
import sys
from typing import Annotated

import typer

from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, exit_codes


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(chambers)


def _check(what: str) -> str:
    if what in ("on", "off") or re.fullmatch(r"[0-9]|1[0-5]", what):
        return what
    raise typer.BadParameter("expected on, off, or a mask 0..15: 1 is chamber 1, 2 chamber 2, 3 both")


def chambers(
    lock: Annotated[str, typer.Argument(metavar="LOCK", help="Serial number in hexadecimal: 1f00a1.")],
    what: Annotated[
        str,
        typer.Argument(
            metavar="on|off|MASK",
            callback=_check,
            help="on: as they were before a command switched them off, else all; or which: 1 chamber 1, 3 both.",
        ),
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Switch a lock's chambers on or off, beside the agent or without it. What the cloud wishes goes before it.

    Where the cloud wishes for other chambers, the agent brings that back: it is said, and exit code is 1.

    Example: edge-agent chambers 1f00a1 on --config /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        from edge_agent.config_rules import load_config
        from edge_agent.technician.access import open_field
        from edge_agent.technician.chamber_switching import switch_by_hand, wished_mask
        from edge_agent.technician.places import find_lock

        loaded = load_config(config, check_files=False)
        name = find_lock(loaded, lock).lock
        with open_field(loaded) as field:
            done = switch_by_hand(field.driver(name), loaded.spool.path, what)
        wished = wished_mask(loaded, name)
    is_against = wished is not None and wished != done.after
    if as_json:
        told = {"lock": name, "before": done.before, "after": done.after, "wished": wished}
        print(json.dumps(told))
    else:
        print(f"lock {name}: chambers on: {_named(done.after)}; before: {_named(done.before)}")
    if is_against:
        print(
            f"the cloud wishes for {_named(wished or 0)}: the agent brings that back at its next visit; to have it "
            f"otherwise for good: `cloud-sink lock desire {name} enable_mask {done.after} --config FILE`",
            file=sys.stderr,
        )
    raise typer.Exit(1 if is_against else 0)


def _named(mask: int) -> str:
    return ", ".join(str(bit + 1) for bit in range(4) if mask >> bit & 1) or "none"

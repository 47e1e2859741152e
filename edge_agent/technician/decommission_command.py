"""`edge-agent decommission`: a lock is taken out, and not one of its pours with it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.technician.commission_command import (
    JsonOption,
    LanguageOption,
    OutOption,
    RemarkOption,
    TechnicianOption,
)
from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, exit_codes, user_name

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(decommission)


def decommission(
    lock: Annotated[str, typer.Argument(metavar="LOCK", help="Serial number in hexadecimal: 1f00a1.")],
    config: ConfigOption = DEFAULT_CONFIG,
    out: OutOption = None,
    exported: Annotated[
        list[Path] | None,
        typer.Option(
            "--exported", help="What `spool export` wrote: counts as safe as the ledger.", metavar="FILE"
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--wait", min=0, max=600, help="For disk and ledger, in minutes.")
    ] = 10,
    keep_config: Annotated[
        bool, typer.Option("--keep-config", help="Leave the lock in the configuration.")
    ] = False,
    technician: TechnicianOption = None,
    language: LanguageOption = "en",
    remark: RemarkOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a lock out of service: lock it, wait until the ledger has all its records, read its registers, remove it.

    If it doesn't come to its end, or at Ctrl-C, nothing was removed and the chambers are as they were before.

    Example: edge-agent decommission 1f00a1 --config /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        from edge_agent.clock import utc_now
        from edge_agent.config_rules import load_config
        from edge_agent.technician.access import open_field
        from edge_agent.technician.custody_waiting import Waiting
        from edge_agent.technician.decommissioning import Decommissioning
        from edge_agent.technician.places import find_lock
        from edge_agent.technician.protocol_files import SOFTWARE, ProtocolFiles
        from edge_agent.technician.signing import check_own_archive, own_key
        from wastelock.protocol import Protocol, ProtocolKind

        loaded = load_config(config, check_files=False)
        files = ProtocolFiles(loaded, out, language)
        exports = [(file, check_own_archive(file, own_key(loaded))) for file in exported or []]
        name, began_at = find_lock(loaded, lock).lock, utc_now()
        say = _Voice(sys.stderr if as_json else sys.stdout)
        try:
            with open_field(loaded) as field:
                patience_s = minutes * 60 if field.via == "agent" else 0.0
                waiting = Waiting(patience_s, idle=lambda what: say.once(f"waiting for {what} …"))
                work = Decommissioning(field.driver(name), loaded.spool.path, utc_now, waiting)
                with work.locked():
                    say.line(f"lock {name}: chambers are switched off")
                    reading = work.close(exports)
                    protocol = Protocol(
                        kind=ProtocolKind.DECOMMISSIONING, reference=files.name(name, began_at),
                        site=loaded.gateway.site, gateway=loaded.gateway.id, software=SOFTWARE, began_at=began_at,
                        ended_at=utc_now(), technician=technician or user_name(), remark=remark, passed=True,
                        closing=(reading,), notes=tuple(work.notes),
                    )  # fmt: skip
                    written = files.write(protocol)
        except KeyboardInterrupt:
            print("interrupted: nothing was removed, the chambers are as they were", file=sys.stderr)
            raise typer.Exit(1) from None
        for chamber in reading.chambers:
            say.line(f"  chamber {chamber.number}: register {chamber.register_count}")
        for file in written:
            say.line(str(file))
        say.line(_take_out(loaded, name, keep_config))
    if as_json:
        print(protocol.to_json().decode())


class _Voice:
    """Tells people how it goes; what is waited for only once."""

    def __init__(self, out: object) -> None:
        self._out = out
        self._last = ""

    def line(self, text: str) -> None:
        print(text, file=self._out)  # type: ignore[call-overload]

    def once(self, text: str) -> None:
        if text != self._last:
            self.line(text)
        self._last = text


def _take_out(config: "AgentConfig", lock: str, keep_config: bool) -> str:
    """Remove the lock from the configuration; return what is to be done next."""
    from edge_agent.clock import utc_now
    from edge_agent.technician.config_editing import remove_lock

    after = "next, in the cloud: cloud-sink import FILE --config CONFIG (the file that is named first)"
    if keep_config:
        return (
            f"{config.file}: left as it is; take lock {lock} out of it before the agent runs again\n{after}"
        )
    if len(config.locks) == 1:
        return (
            f"{config.file}: lock {lock} is the last one, so the file is left as it is: stop the agent for good, "
            f"systemctl disable --now wastelock-edge-agent\n{after}"
        )
    kept = remove_lock(config.file, lock, utc_now())
    return (
        f"{config.file}: lock {lock} is taken out (the file before: {kept}); now systemctl restart "
        f"wastelock-edge-agent\n{after}"
    )

"""`edge-agent decommission`: a lock is taken out, and not one of its pours with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from edge_agent.technician.commission_command import (
    JsonOption,
    LanguageOption,
    OutOption,
    RemarkOption,
    TechnicianOption,
)
from edge_agent.technician.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    ends_by_signal_as_by_ctrl_c,
    exit_codes,
    user_name,
)

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.technician.protocol_files import ProtocolFiles
    from wastelock.protocol import Protocol


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

    If it doesn't come to its end, at Ctrl-C or a lost connection, nothing was removed and the chambers are switched on
    again as they were.

    Example: edge-agent decommission 1f00a1 --config /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        from edge_agent.config_rules import load_config
        from edge_agent.technician.chamber_switching import chambers_now
        from edge_agent.technician.places import find_lock
        from edge_agent.technician.protocol_files import ProtocolFiles

        loaded = load_config(config, check_files=False)
        files = ProtocolFiles(loaded, out, language)
        name = find_lock(loaded, lock).lock
        say = _Voice(sys.stderr if as_json else sys.stdout)
        work = _Work(loaded, files, say, minutes * 60)
        try:
            with ends_by_signal_as_by_ctrl_c():
                protocol, written = work.run(name, exported or [], technician or user_name(), remark)
        except KeyboardInterrupt:
            print(f"interrupted: nothing was removed, {chambers_now(loaded, name)}", file=sys.stderr)
            raise typer.Exit(1) from None
        for chamber in protocol.closing[0].chambers:
            say.line(f"  chamber {chamber.number}: register {chamber.register_count}")
        for file in written:
            say.line(str(file))
        say.line(_take_out(loaded, name, keep_config))
    if as_json:
        print(protocol.to_json().decode())


class _Work:
    """All of it but the configuration; says how it goes."""

    def __init__(
        self, config: "AgentConfig", files: "ProtocolFiles", say: "_Voice", patience_s: float
    ) -> None:
        self._config = config
        self._files = files
        self._say = say
        self._patience_s = patience_s

    def run(
        self, lock: str, exported: Sequence[Path], technician: str, remark: str
    ) -> "tuple[Protocol, list[Path]]":
        """Return the protocol and its files; chambers stay off from then on. NotReady, NotTaken, BusError."""
        from edge_agent.clock import utc_now
        from edge_agent.technician.access import open_field
        from edge_agent.technician.chamber_switching import refuse_against_wish
        from edge_agent.technician.custody_waiting import Waiting
        from edge_agent.technician.decommissioning import Decommissioning
        from edge_agent.technician.protocol_files import SOFTWARE
        from edge_agent.technician.signing import check_own_archive, own_key
        from wastelock.protocol import Protocol, ProtocolKind

        exports = [(file, check_own_archive(file, own_key(self._config))) for file in exported]
        gateway, began_at = self._config.gateway, utc_now()
        with open_field(self._config) as field:
            if field.via == "agent":
                refuse_against_wish(self._config, lock)
            # Without an agent nobody reads, sends or is told anything meanwhile.
            patience_s = self._patience_s if field.via == "agent" else 0.0
            waiting = Waiting(patience_s, idle=lambda what: self._say.once(f"waiting for {what} …"))
            work = Decommissioning(field.driver(lock), self._config.spool.path, utc_now, waiting)
            with work.locked():
                if work.is_locked:
                    self._say.line(f"lock {lock}: chambers are switched off")
                else:
                    self._say.line(
                        f"lock {lock} can't be locked from afar: nobody may pour until it is taken off"
                    )
                reading = work.close(exports)
                protocol = Protocol(
                    kind=ProtocolKind.DECOMMISSIONING, reference=self._files.name(lock, began_at), site=gateway.site,
                    gateway=gateway.id, software=SOFTWARE, began_at=began_at, ended_at=utc_now(),
                    technician=technician, remark=remark, passed=True, closing=(reading,), notes=tuple(work.notes),
                )  # fmt: skip
                written = self._files.write(protocol)
            work.forget_chambers()
            return protocol, written


class _Voice:
    """Tells people how it goes; what is waited for only once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ""

    def line(self, text: str) -> None:
        print(text, file=self._out)

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

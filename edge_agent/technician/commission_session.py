"""A commissioning on a terminal, or from a script: says what to do, shows what comes, writes it down."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.markup import escape

from edge_agent.clock import utc_now
from edge_agent.config import AgentConfig
from edge_agent.errors import JournalGone, NotReady
from edge_agent.technician.access import open_field
from edge_agent.technician.commissioning import Commissioning, Plan
from edge_agent.technician.kept_files import keep_file
from edge_agent.technician.places import find_lock
from edge_agent.technician.protocol_files import SOFTWARE, ProtocolFiles
from edge_agent.technician.protocol_findings import say
from edge_agent.technician.record_words import describe_record
from edge_agent.technician.terminal import user_name
from wastelock.messages import Instant
from wastelock.protocol import Finding, Protocol, ProtocolKind, Reading
from wastelock.record import Record

MeasuredMl = Annotated[Mapping[int, int], "by chamber"]


class _Kept(BaseModel):
    """An opening reading on disk, so that an interrupted test can be gone on with."""

    model_config = ConfigDict(frozen=True)

    reference: str
    began_at: Instant
    opening: Reading


class CommissionSession:
    """One run of the command. `asks`: for measured volumes. `quiet`: what is said goes to standard error."""

    def __init__(
        self, config: AgentConfig, files: ProtocolFiles, *, asks: bool, anew: bool, anyway: bool, quiet: bool
    ) -> None:
        self._config = config
        self._files = files
        self._asks = asks
        self._anew = anew
        self._anyway = anyway
        self._console = Console(file=sys.stderr if quiet else sys.stdout, highlight=False)

    def run(
        self, lock: str, plan: Plan, measured_ml: MeasuredMl, technician: str | None, remark: str
    ) -> Protocol:
        """Go through all of it and return the protocol, which is written by then. NotReady, BusError, JournalGone."""
        name = find_lock(self._config, lock).lock
        kept_in = self._files.directory / f".commissioning-{name}.json"
        kept = None if self._anew else _load(kept_in)
        if kept is not None and self._files.is_written(kept.reference):
            kept = None  # that test came to its end
        try:
            with open_field(self._config) as field:
                test = Commissioning(field.driver(name), plan, utc_now)
                goes_on = test.begin(kept.opening if kept else None)
                assert test.opening is not None
                self._require_ready(test)
                if kept is None or not goes_on:
                    began_at = utc_now()
                    kept = _Kept(
                        reference=self._files.name(name, began_at), began_at=began_at, opening=test.opening
                    )
                else:
                    test.notes.append(
                        Finding(code="gone_on", values={"at": f"{kept.began_at:%Y-%m-%d %H:%M:%S} UTC"})
                    )
                keep_file(kept_in, kept.model_dump_json().encode())
                self._tell_beginning(name, test, field.via)
                protocol = self._test(test, kept, plan, dict(measured_ml), technician, remark)
        except JournalGone as error:
            raise NotReady(f"{error}: begin again with --anew") from error
        except KeyboardInterrupt:
            self._say(f"\ninterrupted: nothing was changed; the same command goes on from here ({kept_in})")
            raise typer.Exit(1) from None
        written = self._files.write(protocol)
        kept_in.unlink(missing_ok=True)
        self._tell_end(protocol, written)
        return protocol

    def _test(
        self,
        test: Commissioning,
        kept: _Kept,
        plan: Plan,
        measured_ml: dict[int, int],
        technician: str | None,
        remark: str,
    ) -> Protocol:
        self._say(
            f"Make {plan.pours_per_chamber} pours with each of the chambers {', '.join(map(str, test.chambers))}, with "
            "the service transponder or any other. What others pour meanwhile counts, too."
        )
        if not test.watch(lambda record: self._tell_record(record, test)):
            test.abandon()
        if self._asks:
            self._ask_for_volumes(test, measured_ml)
        closing, checks = test.close(lambda record: self._tell_record(record, test))
        volumes = test.check_volumes(measured_ml)
        assert test.opening is not None
        return Protocol(
            kind=ProtocolKind.COMMISSIONING,
            reference=kept.reference,
            site=self._config.gateway.site,
            gateway=self._config.gateway.id,
            software=SOFTWARE,
            began_at=kept.began_at,
            ended_at=utc_now(),
            technician=technician or user_name(),
            remark=remark,
            passed=not test.findings,
            opening=(test.opening,),
            closing=(closing,),
            registers=checks,
            volumes=volumes,
            pours=test.trial_pours(),
            findings=tuple(test.findings),
            notes=tuple(test.notes),
        )

    def _require_ready(self, test: Commissioning) -> None:
        if test.findings and not self._anyway:
            wrong = "\n".join(f"- {say(finding, 'en')}" for finding in test.findings)
            raise NotReady(f"the lock isn't ready to be tested (--anyway tests it all the same):\n{wrong}")

    def _ask_for_volumes(self, test: Commissioning, measured_ml: dict[int, int]) -> None:
        for chamber in test.chambers:
            if chamber in measured_ml:
                continue
            given = typer.prompt(
                f"Measured volume of chamber {chamber} in ml (0: not measured)",
                default=0,
                type=int,
                show_default=False,
            )
            if given > 0:
                measured_ml[chamber] = given

    def _tell_beginning(self, lock: str, test: Commissioning, via: str) -> None:
        assert test.opening is not None
        by = "through the running agent" if via == "agent" else "without an agent"
        self._say(f"lock {lock}, {by}; opening reading of {test.opening.at:%H:%M:%S} UTC:")
        for chamber in test.opening.chambers:
            shown = "-" if chamber.proven_by is None else f"record {chamber.proven_by}"
            self._say(
                f"  chamber {chamber.number}: {chamber.volume_ml} ml, register {chamber.register_count} (by {shown})"
            )
        for note in test.notes:
            self._say(f"note: {say(note, 'en')}")

    def _tell_record(self, record: Record, test: Commissioning) -> None:
        missing = test.missing()
        left = ", ".join(f"{count} with chamber {number}" for number, count in missing.items())
        self._say(
            f"  record {record.seq}: {describe_record(record)}; {f'still {left}' if left else 'all made'}"
        )

    def _tell_end(self, protocol: Protocol, written: list[Path]) -> None:
        for check in protocol.registers:
            self._say(
                f"  chamber {check.chamber}: register {check.opening} -> {check.closing}, {check.pours} pours: "
                f"{'agrees' if check.holds else 'DOES NOT AGREE'}"
            )
        for volume in protocol.volumes:
            off = volume.deviation_permille
            told = "not measured" if off is None else f"measured {volume.measured_ml} ml ({off / 10:+.1f} %)"
            self._say(f"  chamber {volume.chamber}: {volume.controller_ml} ml, {told}")
        for finding in protocol.findings:
            self._say(f"- {say(finding, 'en')}")
        self._say("passed" if protocol.passed else "NOT passed")
        for file in written:
            self._console.print(escape(str(file)), soft_wrap=True)  # to be copied
        self._say("next, in the cloud: cloud-sink import FILE --config CONFIG (the file that is named first)")

    def _say(self, text: str) -> None:
        # Only a terminal needs its lines broken: a script's are longer than any.
        self._console.print(escape(text), soft_wrap=not self._console.is_terminal)


def _load(path: Path) -> _Kept | None:
    try:
        return _Kept.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None  # none is kept, or it was written in the moment when the power went: begin anew

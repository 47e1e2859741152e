"""Bills the period: usage, master data, a run up to finalized, the statements; all by the programs' own commands."""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from demo.case import Case
from demo.compare import read_lines
from demo.master_files import MasterFiles
from demo.process import program, run_program
from demo.witness import Expected, Witness
from wastelock.record import Flag

_BILLING, _SINK = "billing-aggregator", "cloud-sink"
CLERK, APPROVER = "a.lorenz", "b.weber"  # four eyes
_COMMAND_S = 240.0
_CLOCKS_HELD = "Its clock was right to the second whenever it was read: what it wrote down counts."
_LOOKED_AT = "Looked at; nothing speaks against what counted until now."


@dataclass(frozen=True, slots=True)
class Bill:
    """What came of it. `run`: as `billing-aggregator run show --json` prints it; `expected`: the second opinion."""

    run: dict[str, Any]
    expected: dict[tuple[str, str], Expected]
    costs_cents: int
    statements: tuple[Path, ...]


class Billing:
    """Bills one case whose past is in the ledger. `say`: gets each step in plain words."""

    def __init__(self, case: Case, say: Callable[[str], None]) -> None:
        self._case = case
        self._say = say
        self._directory = case.layout.directory
        self._run = f"{case.estate.property.id}/{case.period.first}"

    def bill(self) -> Bill:
        """Do all steps; ProcessFailed at the first that is refused."""
        layout, period = self._case.layout, self._case.period
        last_day = period.end - timedelta(days=1)
        self._say(f"Billing {period.first} to {last_day}, {self._case.parties} parties, with these commands:")
        self._do(_SINK, "project", "--once")
        self._import_master_data()
        self._do(_BILLING, "run", "new", self._run, "--actor", CLERK)
        self._decide_reviews()
        self._do(_BILLING, "run", "submit", self._run, "--actor", CLERK)
        self._do(_BILLING, "run", "approve", self._run, "--actor", APPROVER)
        self._do(_BILLING, "run", "finalize", self._run, "--actor", APPROVER)
        statements = self._directory / "statements"
        self._do(_BILLING, "statement", self._run, "--out", str(statements), "--processes", "2")
        run = json.loads(self._ask(_BILLING, "run", "show", self._run, "--json"))
        witness = Witness(self._directory / "masterdata", layout.pseudonym_key, period.zone)
        expected = witness.reckon(read_lines(layout.truth))
        return Bill(run, expected, witness.costs_cents, tuple(statements.glob("*.pdf")))

    def _import_master_data(self) -> None:
        files = MasterFiles(
            self._case, self._pseudonyms(), self._service_uids(), self._directory / "documents"
        )
        directory = self._directory / "masterdata"
        files.write(directory)
        self._do(_BILLING, "import", str(directory), "--actor", CLERK)

    def _service_uids(self) -> list[str]:
        """Return the technicians' transponders; the simulator draws them, and whoever manages the estate knows them."""
        lines = read_lines(self._case.layout.truth)
        return sorted({str(line["uid"]) for line in lines if int(line["flags"]) & Flag.SERVICE})

    def _pseudonyms(self) -> Callable[[str], str]:
        """Let cloud-sink say under which pseudonyms the ledger knows the transponders, and keep their numbers."""
        uids = sorted({*(uid for stay in self._case.stays for uid in stay.uids), *self._service_uids()})
        numbers = "\n".join([*uids, ""]).encode()
        for command in (
            ("pseudonym",),
            ("transponder", "add", "-"),
        ):  # the locks' access lists need the numbers
            self._say(f"  $ {shlex.join([_SINK, *command])} < transponder-numbers")
        self._ask(_SINK, "transponder", "add", "-", given=numbers)
        answer = self._ask(_SINK, "pseudonym", given=numbers)
        return dict(zip(uids, answer.decode().split(), strict=True)).__getitem__

    def _decide_reviews(self) -> None:
        """Decide what only a person can, in the open: what counts until then, and why."""
        for review in json.loads(self._ask(_BILLING, "run", "review", self._run, "--json")):
            self._say(f"  to be decided: {review['detail']}")
            reason = _CLOCKS_HELD if review["kind"].startswith("clock") else _LOOKED_AT
            what = (self._run, review["review"], review["nominal"])
            self._do(_BILLING, "run", "decide", *what, "--actor", CLERK, "--reason", reason)

    def _do(self, name: str, *arguments: str) -> None:
        """Show a command, as anybody could give it, and give it."""
        self._say(f"  $ {shlex.join([name, *arguments])}")
        self._ask(name, *arguments)

    def _ask(self, name: str, *arguments: str, given: bytes = b"") -> bytes:
        layout = self._case.layout
        config = layout.billing_config if name == _BILLING else layout.sink_config
        return run_program([*program(name), *arguments, "--config", str(config)], given, _COMMAND_S)

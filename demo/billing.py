"""Bills the period: usage, master data, a run up to finalized, the statements; all by the programs' own commands."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.case import Case
from demo.compare import read_lines
from demo.master_files import MasterFiles
from demo.process import program, run_program
from demo.witness import Expected, Witness
from wastelock.record import Flag

_CLERK, _APPROVER = "a.lorenz", "b.weber"  # four eyes
_COMMAND_S = 240.0
_CLOCKS_HELD = (
    "The controller's clock was right to the second whenever it was read, so what it wrote down counts."
)
_LOOKED_AT = "Looked at; nothing speaks against what counted until now."


@dataclass(frozen=True, slots=True)
class Decided:
    """A review that somebody decided."""

    kind: str
    detail: str
    choice: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What came of it. `run`: as `billing-aggregator run show --json` prints it; `expected`: the second opinion."""

    run: dict[str, Any]
    expected: dict[tuple[str, str], Expected]
    costs_cents: int
    decided: tuple[Decided, ...]
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
        layout.write_billing_config([_APPROVER])
        self._say(f"Billing {period.first} up to, not including, {period.end}: {self._case.parties} parties.")
        run_program([*program("cloud-sink"), "project", "--once", "--config", str(layout.sink_config)])
        self._import_master_data()
        self._command("run", "new", self._run, "--actor", _CLERK)
        decided = self._decide_reviews()
        self._command("run", "submit", self._run, "--actor", _CLERK)
        self._command("run", "approve", self._run, "--actor", _APPROVER)
        self._command("run", "finalize", self._run, "--actor", _APPROVER)
        self._say(f"  run {self._run}: handed in by {_CLERK}, approved and finalized by {_APPROVER}")
        run = json.loads(self._command("run", "show", self._run, "--json"))
        self._command(
            "statement", self._run, "--out", str(self._directory / "statements"), "--processes", "2"
        )
        statements = tuple(sorted((self._directory / "statements").glob("*.pdf")))
        self._say(f"  {len(statements)} statements are in {self._directory / 'statements'}")
        witness = Witness(self._directory / "masterdata", layout.pseudonym_key, period.zone)
        expected = witness.reckon(read_lines(layout.truth))
        return Bill(run, expected, witness.costs_cents, tuple(decided), statements)

    def _import_master_data(self) -> None:
        files = MasterFiles(
            self._case, self._pseudonyms(), self._service_uids(), self._directory / "documents"
        )
        directory = self._directory / "masterdata"
        count = files.write(directory)
        self._command("import", str(directory), "--actor", _CLERK, "--reason", "the estate is taken over")
        self._say(f"  master data: {count} tables imported from {directory}")

    def _service_uids(self) -> list[str]:
        """Return the technicians' transponders; the simulator draws them, and whoever manages the estate knows them."""
        return sorted(
            {
                str(line["uid"])
                for line in read_lines(self._case.layout.truth)
                if int(line["flags"]) & Flag.SERVICE
            }
        )

    def _pseudonyms(self) -> Callable[[str], str]:
        """Let cloud-sink say under which pseudonyms the ledger knows the transponders."""
        uids = sorted({*(uid for stay in self._case.stays for uid in stay.uids), *self._service_uids()})
        config = str(self._case.layout.sink_config)
        answer = run_program(
            [*program("cloud-sink"), "pseudonym", "--config", config], "\n".join(uids).encode() + b"\n"
        )
        return dict(zip(uids, answer.decode().split(), strict=True)).__getitem__

    def _decide_reviews(self) -> list[Decided]:
        """Decide what only a person can, in the open: what counts until then, and why."""
        decided = []
        for review in json.loads(self._command("run", "review", self._run, "--json")):
            reason = _CLOCKS_HELD if review["kind"].startswith("clock") else _LOOKED_AT
            self._command(
                "run", "decide", self._run, review["review"], review["nominal"],
                "--reason", reason, "--actor", _CLERK,
            )  # fmt: skip
            decided.append(Decided(review["kind"], review["detail"], review["nominal"], reason))
        return decided

    def _command(self, *arguments: str) -> bytes:
        config = str(self._case.layout.billing_config)
        line = [*program("billing-aggregator"), *arguments, "--config", config]
        return run_program(line, timeout_s=_COMMAND_S)

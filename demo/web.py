"""The demonstration's page: describes the estate, keeps the projections, makes accounts, serves the portal.

with Web(case, chain, port, say) as web:     the page is there while the locks' past is still drained
    web.release_access_lists()                      once the master data are there: locks get their lists from them
    web.invite_household()                          once it is billed: a household's personal link
"""

import csv
import json
import shlex
import socket
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from demo.billing import APPROVER, CLERK
from demo.case import Case
from demo.chain import Chain
from demo.estate_config import LockUse
from demo.layout import HOST
from demo.process import Child, program, run_program
from demo.tenancies import Stay

_OPERATOR = "o.krause"
_READY_S = 60.0
_COMMAND_S = 60.0
_LABELS = {
    "residual": "Restmüll",
    "organic": "Bioabfall",
    "paper": "Papier",
    "packaging": "Leichtverpackungen",
}
_CONTAINER_L = {"organic": 240}
_CONTAINER_L_ELSE = 1100
_COURTYARD_ROW_LOCKS = 3


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in: with the one-time password that the portal made, to be changed at once."""

    name: str
    role: str
    password: str


class Web:
    """Projections and portal of one chain that runs, as two more processes."""

    def __init__(self, case: Case, chain: Chain, port: int, say: Callable[[str], None]) -> None:
        self._case = case
        self._chain = chain
        self._say = say
        self.url = f"http://{HOST}:{port}"
        layout = case.layout
        layout.write_portal_config(port)
        layout.write_billing_config([APPROVER])
        self._projector = Child(
            "cloud-sink-project",
            [*program("cloud-sink"), "project", "--config", str(layout.sink_config)],
            layout.logs,
        )
        self._portal = Child(
            "portal", [*program("portal"), "serve", "--config", str(layout.portal_config)], layout.logs
        )

    def check(self) -> None:
        """Raise ProcessFailed if one of the two ended by itself."""
        for child in (self._projector, self._portal):
            child.check()

    def release_access_lists(self) -> None:
        """Let the locks have the access lists that the master data want: they were commissioned with others."""
        self._portal.wait_until(
            self._lists_wait, "finding that the locks' access lists aren't its own", _READY_S
        )
        answer = self._do("portal", "access", "release", "--all", "--reason", "the master data are complete")
        self._say(answer.decode().strip())

    def _lists_wait(self) -> bool:
        """True once each lock has told which list it has, and waits for somebody to say that another one is meant."""
        waiting = [json.loads(line) for line in self._ask("portal", "access", "list", "--json").splitlines()]
        return {each["lock"] for each in waiting} == {lock.name for lock in self._case.layout.estate.locks}

    def invite_household(self) -> None:
        """Make and print the personal link of a household that lives there today."""
        stay = self._resident()
        link = self._do(
            "portal", "link", "add", "--property", self._case.estate.property.id, "--dwelling",
            stay.dwelling.dwelling, "--party", str(stay.party), "--since", str(stay.first), "--json",
        )  # fmt: skip
        self._say(f"The household of {stay.name} ({stay.dwelling.label}) sees its own pours and cost:")
        self._say(f"  {json.loads(link)['link']}")

    def __enter__(self) -> Self:
        try:
            self._chain.sink.wait_until(self._ledger_is_ready, "opening its ledger", _READY_S)
            self._describe_estate()
            self._projector.start()
            accounts = [self._add(*each) for each in
                        ((_OPERATOR, "operator"), (CLERK, "clerk"), (APPROVER, "clerk"))]  # fmt: skip
            self._portal.start()
            self._portal.wait_until(self._is_served, "serving", _READY_S)
        except BaseException:
            self._stop()
            raise
        self._invite(accounts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for child in (self._portal, self._projector):
            if child.running:
                child.stop()

    def _ledger_is_ready(self) -> bool:
        return "ledger is ready" in self._chain.sink.log.read_text(encoding="utf-8", errors="replace")

    def _is_served(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=1.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _describe_estate(self) -> None:
        place, layout = self._case.estate.property, self._case.layout
        self._do(
            "cloud-sink", "site", "describe", layout.estate.site, "--name", place.name, "--street", place.street,
            "--city", f"{place.postcode} {place.city}", "--property", place.id,
        )  # fmt: skip
        file = layout.directory / "locks.csv"
        rows = [self._lock_row(number, use) for number, use in enumerate(self._case.estate.locks)]
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        self._do("cloud-sink", "lock", "import", str(file))

    def _lock_row(self, number: int, use: LockUse) -> dict[str, object]:
        chambers: dict[str, object] = {}
        for chamber, volume_ml in enumerate(use.chambers_ml, 1):
            chambers |= {f"chamber_{chamber}": use.fraction, f"chamber_{chamber}_ml": volume_ml}
        row, column = divmod(number, _COURTYARD_ROW_LOCKS)
        return {
            "lock": use.lock,
            "site": self._case.layout.estate.site,
            "label": f"{_LABELS[use.fraction]} {number + 1}",
            "property": self._case.estate.property.id,
            "row": row + 1,
            "column": column + 1,
            "container_l": _CONTAINER_L.get(use.fraction, _CONTAINER_L_ELSE),
            **chambers,
        }

    def _add(self, name: str, role: str) -> Account:
        made = json.loads(self._do("portal", "user", "add", name, "--role", role, "--json"))
        return Account(name, role, made["password"])

    def _invite(self, accounts: Sequence[Account]) -> None:
        self._say(f"The page is open, live: {self.url}  Sign in with one of these; each password works once:")
        for account in accounts:
            self._say(f"  {account.role:8}  {account.name:10}  {account.password}")

    def _resident(self) -> Stay:
        """Return who has lived there longest of those that live there today."""
        today = self._case.now.astimezone(self._case.period.zone).date()
        living = [stay for stay in self._case.stays if stay.party and stay.covers(today)]
        return min(living, key=lambda stay: (stay.first, stay.dwelling.dwelling))

    def _do(self, name: str, *arguments: str) -> bytes:
        """Show a command, as anybody could give it, and give it."""
        self._say(f"  $ {shlex.join([name, *arguments])}")
        return self._ask(name, *arguments)

    def _ask(self, name: str, *arguments: str) -> bytes:
        layout = self._case.layout
        config = layout.portal_config if name == "portal" else layout.sink_config
        return run_program([*program(name), *arguments, "--config", str(config)], b"", _COMMAND_S)


def port_or_free(wanted: int, free_port: Callable[[], int]) -> int:
    """Return the port that is wanted if nobody listens there, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return free_port()
    return wanted

"""Does to a running chain what a plan says: the bad luck alone. It mends nothing that programs must mend themselves."""

import os
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from demo.chain import Chain
from demo.control import ControlRefused
from demo.keys import new_signing_key, public_key, write_private
from demo.layout import Settings
from demo.process import Child
from tests.acceptance.deeds import kill_at, set_wall_clock
from tests.acceptance.plan import Fault
from tests.acceptance.proxy import Link
from tests.acceptance.supervisor import RESTART_AFTER_S, Supervisor
from tests.acceptance.wire import Bystander, page_topic
from wastelock.page import SigningKey

_SENT_AGAIN = 20


class Strikes:
    """`strike` does one fault and returns at once; `heal_due` undoes what has lasted long enough."""

    def __init__(
        self,
        chain: Chain,
        settings: Settings,
        supervisor: Supervisor,
        links: dict[str, Link],
        wire: Bystander | None,
        settle: Callable[[], None],
        rng: Random,
    ) -> None:
        """`wire`: whoever sees and sends pages of others; None where the broker lets nobody do so.

        `settle` waits until the ledger has everything. `rng`: what isn't worth a place in the plan."""
        self.refused: Counter[str] = Counter()
        self.holds_ledger = False  # nobody can write it now
        self._chain = chain
        self._settings = settings
        self._supervisor = supervisor
        self._links = links
        self._wire = wire
        self._settle = settle
        self._rng = rng
        self._heals: list[tuple[float, Callable[[], None]]] = []
        self._gateways: dict[str, list[Ed25519PublicKey]] = {
            chain.layout.estate.gateway: [public_key(chain.layout.signing_key.read_bytes())]
        }
        self._spool = chain.layout.spool
        self._copy = chain.layout.directory / "copy"
        self._clock = chain.layout.directory / "gateway-clock"
        set_wall_clock(chain.agent, self._clock, 0)

    def strike(self, fault: Fault) -> None:
        """Do it. What can't be done at this moment (the broker is away …) is counted in `refused`."""
        getattr(self, _NAMES[fault.kind])(fault)

    def heal_due(self, everything: bool = False) -> None:
        """Undo the faults whose time is over, or all of them."""
        now = time.monotonic()
        due = [heal for at, heal in self._heals if everything or at <= now]
        self._heals = [(at, heal) for at, heal in self._heals if not everything and at > now]
        for heal in due:
            heal()

    def pour(self) -> None:
        """Somebody throws waste at some lock, if there is power and room."""
        lock = self._rng.choice(self._chain.layout.estate.locks)
        self._order("pour", lock=lock.name, chamber=self._rng.randint(1, 2), instant=True)

    # ---- programs ----

    def _kill(self, fault: Fault) -> None:
        self._supervisor.kill(self._child(fault), fault.hold_s)

    def _kill_at_step(self, fault: Fault) -> None:
        child = kill_at(self._chain, str(fault.with_what["step"]), int(fault.with_what["nth"]), self._clock)
        self._supervisor.expect_death(child)
        for _ in range(3):
            self.pour()

    def _freeze(self, fault: Fault) -> None:
        child = self._child(fault)
        if not child.running:
            self.refused[fault.kind] += 1
            return
        pid = child.pid
        child.pause()
        self._heal_after(fault.hold_s, lambda: child.resume() if child.running and child.pid == pid else None)

    def _child(self, fault: Fault) -> Child:
        return next(child for child in self._chain.children if child.name == fault.with_what["program"])

    # ---- broker and network ----

    def _broker_outage(self, fault: Fault) -> None:
        self._supervisor.stop(self._chain.broker, fault.hold_s)

    def _broker_forgets(self, fault: Fault) -> None:
        self._supervisor.kill(self._chain.broker, fault.hold_s)
        for kept in self._chain.layout.broker_config.parent.glob("*.db"):
            kept.unlink()

    def _cut_link(self, fault: Fault) -> None:
        link = self._links[str(fault.with_what["side"])]
        link.cut()
        self._heal_after(fault.hold_s, link.heal)

    def _stall_link(self, fault: Fault) -> None:
        link = self._links[str(fault.with_what["side"])]
        link.stall()
        self._heal_after(fault.hold_s, link.heal)

    def _send_again(self, fault: Fault) -> None:
        assert self._wire is not None
        pages = self._wire.pages()
        if not pages or not self._wire.wait_until_listening(2):
            self.refused[fault.kind] += 1
            return
        for page in self._rng.sample(pages, min(_SENT_AGAIN, len(pages))):
            self._wire.send(page)

    def _forge(self, fault: Fault) -> None:
        assert self._wire is not None
        pages = self._wire.pages()
        if not pages or not self._wire.wait_until_listening(2):
            self.refused[fault.kind] += 1
            return
        page = pages[-1]
        match fault.with_what["forgery"]:
            case "altered":
                page = replace(page, payload=page.payload.replace(b'"epoch":', b'"epoch":1', 1))
            case "foreign topic":
                page = replace(page, topic=page_topic(self._chain, gateway="gw-0666"))
            case "unknown key":
                page = page.signed_anew(SigningKey(Ed25519PrivateKey.generate()))
            case "no signature":
                page = replace(page, user={})
            case _:
                page = replace(page, payload=b"{")
        self._wire.send(page)

    # ---- buses and controllers ----

    def _bus_fault(self, fault: Fault) -> None:
        self._order("fault", **fault.with_what, for_s=fault.hold_s, delay_s=0.5)

    def _tear_record(self, fault: Fault) -> None:
        self._order("torn_record", seq="next", **fault.with_what)
        self._order("pour", lock=fault.with_what["lock"], chamber=1, instant=True)

    def _cut_power(self, fault: Fault) -> None:
        self._order("power_cut", **fault.with_what)
        self._order("pour", lock=fault.with_what["lock"], chamber=2, instant=True)

    def _cut_all_power(self, fault: Fault) -> None:
        self._order("power_cut", off_s=fault.hold_s)

    def _set_controllers_clock(self, fault: Fault) -> None:
        how, by = str(fault.with_what["how"]), fault.with_what["by"]
        amount = {"clock_step": {"by_s": by}, "clock_drift": {"ppm": by}}.get(how, {})
        self._order(how, lock=fault.with_what["lock"], **amount)

    def _begin_epoch(self, fault: Fault) -> None:
        # The old ring goes with its epoch, so the ledger must have it by then, and still before the next fault.
        self._settle()
        self._order("new_epoch", lock=fault.with_what["lock"], when="confirmed", wait_s=30, timeout_s=40)
        self._settle()

    def _jam(self, fault: Fault) -> None:
        self._order("jam", lock=fault.with_what["lock"])
        self._order("pour", lock=fault.with_what["lock"], chamber=1, instant=True)

    def _order(self, action: str, **arguments: Any) -> None:
        self._supervisor.bring_back(self._chain.simulator)
        try:
            self._chain.control.do(action, **arguments)
        except ControlRefused:
            self.refused[action] += 1

    # ---- the gateway ----

    def _set_gateways_clock(self, fault: Fault) -> None:
        set_wall_clock(self._chain.agent, self._clock, float(fault.with_what["by_s"]))
        self._heal_after(fault.hold_s, lambda: set_wall_clock(self._chain.agent, self._clock, 0))

    def _corrupt_spool(self, _fault: Fault) -> None:
        self._supervisor.kill(self._chain.agent, RESTART_AFTER_S)
        files = [
            file for file in self._spool_files() if file.stat().st_size and not file.name.endswith("-shm")
        ]
        if not files:
            return
        worn = self._rng.choices(files, [file.stat().st_size for file in files])[0]
        size = worn.stat().st_size
        with worn.open("r+b") as file:
            file.seek(self._rng.randrange(size))
            file.write(os.urandom(self._rng.choice((1, 100, 5000))))
            if self._rng.random() < 0.3:
                file.truncate(self._rng.randrange(size))

    def _lose_spool(self, _fault: Fault) -> None:
        self._supervisor.kill(self._chain.agent, RESTART_AFTER_S)
        for part in self._spool_files():
            part.unlink()

    def _restore_spool(self, _fault: Fault) -> None:
        """Put the copy of the last time in place; what is replaced is the copy of the next time."""
        self._supervisor.kill(self._chain.agent, RESTART_AFTER_S)
        fresh = self._copy.with_name("copy-next")
        fresh.mkdir()
        for part in self._spool_files():
            shutil.copy2(part, fresh)
        if self._copy.exists():
            for part in self._spool_files():
                part.unlink()
            for part in self._copy.iterdir():
                shutil.copy2(part, self._spool.parent)
            shutil.rmtree(self._copy)
        fresh.rename(self._copy)

    def _swap_gateway(self, _fault: Fault) -> None:
        """The gateway dies with its disk; another one takes its place and is registered."""
        self._supervisor.kill(self._chain.agent, RESTART_AFTER_S)
        shutil.rmtree(self._copy, ignore_errors=True)
        layout, name = self._chain.layout, f"gw-1{len(self._gateways):03}"
        key = new_signing_key()
        write_private(layout.directory / f"{name}.pem", key)
        self._gateways[name] = [public_key(key)]
        layout.write_gateways(self._gateways)
        if self._chain.sink.running:
            self._chain.sink.send(signal.SIGHUP)
        self._spool = layout.directory / f"{name}.db"
        gateway = {"id": name, "signing_key": f"{name}.pem"}
        settings = replace(self._settings, agent={"gateway": gateway, "spool": {"path": self._spool.name}})
        layout.write_agent_config(settings, broker_port=self._links["gateway"].port)

    def _spool_files(self) -> list[Path]:
        return [path for suffix in ("", "-wal", "-shm") if (path := Path(f"{self._spool}{suffix}")).exists()]

    # ---- the sink ----

    def _lock_ledger(self, fault: Fault) -> None:
        other = sqlite3.connect(self._chain.layout.directory / "ledger.db", timeout=5, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            other.close()
            self.refused[fault.kind] += 1
            return
        self.holds_ledger = True
        self._heal_after(fault.hold_s, lambda: self._release_ledger(other))

    def _release_ledger(self, connection: sqlite3.Connection) -> None:
        connection.close()
        self.holds_ledger = False

    def _heal_after(self, hold_s: float, heal: Callable[[], None]) -> None:
        self._heals.append((time.monotonic() + hold_s, heal))


_NAMES = {
    "kill -9": "_kill",
    "kill -9 at step": "_kill_at_step",
    "freeze": "_freeze",
    "broker outage": "_broker_outage",
    "broker forgets everything": "_broker_forgets",
    "link cut": "_cut_link",
    "link stalled": "_stall_link",
    "bus fault": "_bus_fault",
    "torn record": "_tear_record",
    "power cut": "_cut_power",
    "power cut everywhere": "_cut_all_power",
    "controller's clock": "_set_controllers_clock",
    "gateway's clock": "_set_gateways_clock",
    "spool corrupted": "_corrupt_spool",
    "spool lost": "_lose_spool",
    "spool restored from an old copy": "_restore_spool",
    "gateway swapped": "_swap_gateway",
    "ledger locked": "_lock_ledger",
    "pages sent again": "_send_again",
    "page forged": "_forge",
    "new epoch": "_begin_epoch",
    "jam": "_jam",
}

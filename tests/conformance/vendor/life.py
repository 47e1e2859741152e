"""What happens around a lock: residents, trucks, technicians, power cuts. Any of it between any two requests."""

from collections.abc import Callable
from random import Random

from tests.conformance.vendor import slot
from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.traits import LAST_SEQ

_KNOWN_KINDS = 10


class Life:
    """Lives one controller, one event at a time. `epochs` and `power_cuts`: relative weights of those events."""

    def __init__(
        self, controller: Controller, rng: Random, *, epochs: float = 0.0, power_cuts: float = 1.0
    ) -> None:
        self.controller = controller
        self._rng = rng
        self._uids = [rng.getrandbits(rng.choice((24, 40, 64))) for _ in range(6)]
        self._events: dict[Callable[[], object], float] = {
            self._pour: 30.0,
            self._unfinished_pour: 4.0,
            self._close: 6.0,
            self._deny: 4.0,
            self._visit_by_truck: 2.0,
            self._fault: 4.0,
            self._maintain: 1.0,
            self._go_wrong_in_time: 1.0,
            self._odd_record: 6.0 if controller.traits.odd_records else 0.0,
            controller.power_up: power_cuts,
            self._new_epoch: epochs,
        }

    def step(self) -> None:
        """Let one thing happen, if the rules let it."""
        if self.controller.journal.newest == LAST_SEQ:
            self.renew_used_up_journal()
        (event,) = self._rng.choices(list(self._events), list(self._events.values()))
        event()

    def pour(self, count: int) -> int:
        """Let residents pour this often, as far as the ring takes it; return how often they could."""
        return sum(self._pour() for _ in range(count))

    def finish(self) -> None:
        """Close what is open."""
        self.controller.close()

    def renew_used_up_journal(self) -> None:
        """Sequence numbers never wrap: the last one is followed by an epoch, once everything is safe."""
        if self.controller.journal.confirmed == LAST_SEQ:
            self._new_epoch()

    def _chamber(self) -> int:
        return self._rng.randint(1, self.controller.traits.chambers)

    def _flags(self) -> int:
        """Documented ones; now and then a flag or a clock status that nobody has documented yet."""
        flags = self._rng.choice(
            (0, 0, 0, slot.RETRY, slot.SERVICE, slot.DEGRADED, slot.SERVICE | slot.RETRY)
        )
        if self.controller.traits.odd_records and self._rng.random() < 0.1:
            flags |= self._rng.choice((0x40, 0x80, 0xC0, 0x03))
        return flags

    def _pour(self) -> bool:
        self.controller.close()
        if not self.controller.open(self._chamber(), self._rng.choice(self._uids), self._flags()):
            return False
        if self._rng.random() < 0.9:
            self.controller.pass_discharge_point()
        return self.controller.close()

    def _unfinished_pour(self) -> None:
        """The flap is open; what ends it comes later: a record that began before others and is written after them."""
        opened = self.controller.open(self._chamber(), self._rng.choice(self._uids), self._flags())
        if opened and self._rng.random() < 0.5:
            self.controller.pass_discharge_point()

    def _close(self) -> None:
        self.controller.pass_discharge_point()
        self.controller.close()

    def _deny(self) -> None:
        self.controller.deny(self._rng.getrandbits(40), self._rng.choice((1, 2)))

    def _visit_by_truck(self) -> None:
        self.controller.note(self._rng.choice((slot.EMPTYING, slot.SWAP)))

    def _fault(self) -> None:
        bit = self._rng.randrange(9)
        self.controller.set_fault(bit, not self.controller.faults >> bit & 1)

    def _maintain(self) -> None:
        uid = self._rng.choice(self._uids)
        if self.controller.note(slot.MAINTENANCE, uid=uid, flags=slot.SERVICE, result=0):
            self.controller.note(slot.MAINTENANCE, uid=uid, flags=slot.SERVICE, result=1)

    def _go_wrong_in_time(self) -> None:
        clock = self.controller.clock
        self._rng.choice((clock.lose, lambda: clock.drift(self._rng.uniform(-0.5, 0.5))))()

    def _odd_record(self) -> None:
        """A kind, result or time of a later firmware: kept raw and confirmed, whatever it says."""
        rng = self._rng
        self.controller.note(
            rng.choice((0, rng.randint(_KNOWN_KINDS + 1, 255))),
            began=rng.choice((0, 0xFFFF_FFFF, rng.getrandbits(32))),
            result=rng.randrange(256),
            chamber=rng.choice((0, 1, 5, 255)),
            uid=rng.getrandbits(64),
            volume=rng.randrange(0x10000),
            weight=rng.randrange(0x10000),
            duration=rng.randrange(0x10000),
            register=rng.getrandbits(32),
        )

    def _new_epoch(self) -> None:
        self.controller.close()
        self.controller.begin_epoch()

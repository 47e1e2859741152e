"""Which bus is lent to whom, and until when. A loan ends when its connection does, or when nobody renews it."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.bus import Bus
from edge_agent.errors import TryLater, UnknownName


@dataclass(slots=True)
class _Loan:
    borrower: object
    to: str
    until_s: float


class Loans:
    """Thread-safe. `borrower` is whatever stands for one connection; `now_s` is monotonic."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loans: dict[str, _Loan] = {}
        self._buses: dict[str, Bus] = {}
        self._why = ""

    def explain(self, why: str) -> None:
        """Why there are no buses just now."""
        self._why = why

    def use(self, buses: Iterable[Bus]) -> None:
        """These are the buses now (of a new run, or none between two); what was lent stays lent."""
        with self._guard:
            self._buses = {bus.name: bus for bus in buses}
            for name, loan in self._loans.items():
                if name in self._buses:
                    self._buses[name].lend(loan.to)

    def bus(self, name: str) -> Bus:
        """Return a bus of the run under way, or raise TryLater or UnknownName."""
        with self._guard:
            return self._bus(name)

    def lend(self, name: str, borrower: object, to: str, lease_s: float, now_s: float) -> bool:
        """Lend a bus, or renew the lease; True if it wasn't lent before. The device is free on return."""
        with self._guard:
            bus, loan = self._bus(name), self._loans.get(name)
            if loan is not None and loan.borrower is borrower:
                loan.until_s = now_s + lease_s
                return False
            if loan is not None:
                raise TryLater(f"bus {name} is {loan.to}: try again when they have ended")
            bus.lend(to)
            self._loans[name] = _Loan(borrower, to, now_s + lease_s)
            return True

    def give_back(self, name: str, borrower: object) -> None:
        """End the loan, if it is this borrower's."""
        with self._guard:
            loan = self._loans.get(name)
            if loan is not None and loan.borrower is borrower:
                self._end(name)

    def end_all_of(self, borrower: object) -> tuple[str, ...]:
        """The borrower is gone; return what they had."""
        with self._guard:
            names = tuple(name for name, loan in self._loans.items() if loan.borrower is borrower)
            for name in names:
                self._end(name)
            return names

    def end_expired(self, now_s: float) -> tuple[str, ...]:
        """End what nobody renewed in time; return the names of the buses."""
        with self._guard:
            names = tuple(name for name, loan in self._loans.items() if loan.until_s < now_s)
            for name in names:
                self._end(name)
            return names

    def _bus(self, name: str) -> Bus:
        if not self._buses:
            raise TryLater(f"the agent begins afresh just now{self._why}: try again in a few seconds")
        if name not in self._buses:
            raise UnknownName(f"there is no bus {name!r}; there are {', '.join(sorted(self._buses))}")
        return self._buses[name]

    def _end(self, name: str) -> None:
        del self._loans[name]
        if name in self._buses:
            self._buses[name].take_back()

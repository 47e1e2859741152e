"""The estates that faults are tried on: small, quick to set up, with both kinds of line."""

from demo.estate import Bus, Estate, Lock

TCP = Bus("tower", "tcp")
RTU = Bus("courtyard", "rtu", baudrate=921_600)  # a pseudo-terminal that answers at once


def small_estate(
    *, tcp_locks: int = 2, rtu: bool = True, capacity: int = 1000, pours_per_day: float = 20
) -> Estate:
    """Return a few locks on a TCP bus and, if `rtu`, one on a serial line."""
    places = [(TCP.name, unit) for unit in range(1, tcp_locks + 1)] + ([(RTU.name, 7)] if rtu else [])
    locks = tuple(
        Lock(0x2B0001 + i, bus, unit, capacity=capacity, dwellings=6, pours_per_day=pours_per_day)
        for i, (bus, unit) in enumerate(places)
    )
    return Estate("birkenweg", "gw-0007", (TCP, RTU) if rtu else (TCP,), locks)

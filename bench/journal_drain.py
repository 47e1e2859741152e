"""How fast one agent brings full journals from Modbus TCP onto its disk, and confirms them.

figure    records/s from the first page on disk to the last confirmation, one `edge-agent run` with its real
          configuration; each record's CRC is checked, each page signed and fsynced before its records are confirmed
baseline  pymodbus's synchronous client reading the same blocks over the same links, a thread for each, from a process
          that does nothing else: no checks, no store

The controllers live in processes of their own. On two cores they take one, the agent the other; its CPU time per
record tells what a machine with more cores would do, and is given in a row of its own.
"""

from contextlib import AbstractContextManager, ExitStack

from bench.plain_modbus import Client, Ring, look_at_rings, read_side_by_side, tcp_client
from bench.rig import Rig
from bench.table import Baseline, Goal, Row
from bench.usage import cpu_s
from bench.workplace import BenchFailed, Workplace
from demo.estate import Bus, Estate, Lock
from demo.layout import HOST, Settings

SIMULATORS = 2
BUSES = 4
_CAPACITY = 2047
_BACKLOG_DAYS = 3.0
_POURS_PER_DAY = 2000.0
_DRAIN_S = 180.0
_WHAT = "journals drained over TCP onto the disk, 4 links"


def run(place: Workplace) -> list[Row]:
    rates, cpu_rates, plain_rates = [], [], []
    for number in range(1, place.pick(3, 1) + 1):
        place.say(f"run {number}: filling the controllers' rings")
        with _rig(place, number) as rig:
            rings, plain = _read_plainly(place, rig)
            rate, cpu_rate = _drain(place, rig, rings)
        place.say(f"run {number}: agent {rate:,.0f} records/s, pymodbus {plain:,.0f} records/s")
        rates.append(rate)
        cpu_rates.append(cpu_rate)
        plain_rates.append(plain)
    baseline = Baseline(
        "pymodbus's synchronous client, same blocks, no checks, nothing stored", tuple(plain_rates)
    )
    return [
        Row(_WHAT, "records/s", tuple(rates), baseline, Goal("figure", "at least", 10_000)),
        Row("the same by the agent's CPU time", "records/CPU-s", tuple(cpu_rates)),
    ]


def _rig(place: Workplace, number: int) -> Rig:
    buses = tuple(Bus(f"link-{index}", "tcp") for index in range(1, BUSES + 1))
    units = range(1, place.pick(8, 3) + 1)
    places = [(bus.name, unit) for bus in buses for unit in units]
    locks = tuple(
        Lock(0x1F0100 + index, bus, unit, _CAPACITY, pours_per_day=_POURS_PER_DAY)
        for index, (bus, unit) in enumerate(places)
    )
    estate = Estate("estate-1", "gw-0001", buses, locks)
    return Rig(place.directory / f"run-{number}", estate, Settings(), SIMULATORS, _BACKLOG_DAYS)


def _read_plainly(place: Workplace, rig: Rig) -> tuple[dict[str, Ring], float]:
    """Read all rings with pymodbus; return them by lock, and the records read in a second."""
    with ExitStack() as stack:
        clients = [stack.enter_context(_client(rig, bus.name)) for bus in rig.estate.buses]
        found = [_look(rig, bus.name, client) for bus, client in zip(rig.estate.buses, clients, strict=True)]
        rings = {lock: ring for mine in found for lock, ring in mine.items()}
        total = sum(ring.records for ring in rings.values())
        place.say(f"pymodbus reads {total:,} records")
        began_s = place.monotonic_s()
        read_side_by_side(
            [(client, list(mine.values())) for client, mine in zip(clients, found, strict=True)]
        )
        return rings, total / (place.monotonic_s() - began_s)


def _client(rig: Rig, bus: str) -> AbstractContextManager[Client]:
    return tcp_client(HOST, rig.layout.tcp_ports[bus])


def _look(rig: Rig, bus: str, client: Client) -> dict[str, Ring]:
    """Return how far the journals of one link's locks go, by lock."""
    locks = rig.estate.locks_on(bus)
    rings = look_at_rings(client, {lock.unit: lock.capacity for lock in locks})
    return {lock.name: ring for lock, ring in zip(locks, rings, strict=True)}


def _drain(place: Workplace, rig: Rig, rings: dict[str, Ring]) -> tuple[float, float]:
    """Let the agent drain all rings; return records/s and records per second of its CPU time."""
    place.say("the agent drains the same records")
    rig.start_agent()
    rig.wait(lambda: _sealed(rig, rings) > 0, "the first page", _DRAIN_S)
    began_s, began_cpu_s, began = place.monotonic_s(), cpu_s(rig.agent.pid), _sealed(rig, rings)
    rig.wait(lambda: _all_confirmed(rig, rings), "draining all rings", _DRAIN_S)
    took_s, used_s = place.monotonic_s() - began_s, cpu_s(rig.agent.pid) - began_cpu_s
    records = sum(ring.newest for ring in rings.values()) - began
    _ask_controllers(rig, rings)
    return records / took_s, records / used_s


def _sealed(rig: Rig, rings: dict[str, Ring]) -> int:
    """Return how many of these records are on disk."""
    return sum(min(seq, rings[lock].newest) for lock, (seq, _) in rig.sealed_and_confirmed().items())


def _all_confirmed(rig: Rig, rings: dict[str, Ring]) -> bool:
    there = rig.sealed_and_confirmed()
    return all(lock in there and there[lock][1] >= ring.newest for lock, ring in rings.items())


def _ask_controllers(rig: Rig, rings: dict[str, Ring]) -> None:
    """BenchFailed unless the controllers themselves say that all was confirmed."""
    for bus in rig.estate.buses:
        with _client(rig, bus.name) as client:
            seen = _look(rig, bus.name, client)
        behind = [lock for lock, ring in seen.items() if ring.confirmed < rings[lock].newest]
        if behind:
            raise BenchFailed(f"not confirmed at the controllers of {', '.join(behind)}")

"""How much of a serial line's time is used while a full ring is drained at 19200 Bd 8E1, on a pty that keeps wire time.

figure    time that the bytes exchanged take on the wire / time from the first request to the last confirmation
baseline  pymodbus's synchronous client reading the same blocks of the same ring on the same line: no checks, no store

The agent's own bus, poller and spool (fsync) do the work; only the process around them is the bench's. Even a perfect
client can't reach 100 %: before each frame the line has to be silent for 3.5 characters, 3 % of a full read.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from bench.plain_modbus import Ring, look_at_rings, read_rings, serial_client
from bench.rig import Rig
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace
from demo.estate import Bus, Estate, Lock
from demo.layout import Settings
from edge_agent.clock import GatewayClock
from edge_agent.config_rules import load_config, load_signing_key
from edge_agent.field import Field, build_field
from edge_agent.log import configure_log
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from wastelock.topics import GatewayTopics

BAUDRATE = 19200
BITS_PER_CHARACTER = 11  # start, 8 data, parity, stop
_REQUEST_BYTES, _ANSWER_EXTRA_BYTES = 8, 5  # unit, function, address, count, CRC; unit, function, length, CRC
_BACKLOG_DAYS = 3.0
_POURS_PER_DAY = 2000.0
_DRAIN_S = 300.0


def run(place: Workplace) -> list[Row]:
    """Measure once: a full ring is a minute of the wire, and there is no processor to compete for."""
    configure_log(logging.ERROR)  # the poller runs in this process, whose output is the table
    capacity = place.pick(2047, 320)
    lock = Lock(serial=0x1F00A1, bus="line", unit=1, capacity=capacity, pours_per_day=_POURS_PER_DAY)
    estate = Estate("estate-1", "gw-0001", (Bus("line", "rtu", BAUDRATE, "wire"),), (lock,))
    with Rig(place.directory, estate, Settings(), backlog_days=_BACKLOG_DAYS) as rig:
        ring, plain = _plain_use(place, rig, capacity)
        place.say(f"the agent drains the same {ring.records} records")
        agent = _agent_use(place, rig, ring)
    return [
        Row(
            "serial line in use while draining, 19200 Bd 8E1",
            "% of the wire",
            (100 * agent,),
            Baseline("pymodbus's synchronous client, same reads, no checks, nothing stored", (100 * plain,)),
            Goal("figure", "at least", 90.0),
        )
    ]


def wire_s(frame_bytes: int) -> float:
    """Return how long so many bytes take at 19200 Bd 8E1."""
    return frame_bytes * BITS_PER_CHARACTER / BAUDRATE


def reads_wire_s(ring: Ring) -> float:
    """Return the wire time of reading all of a ring, requests and answers, without the silences between them."""
    return sum(wire_s(_REQUEST_BYTES + _ANSWER_EXTRA_BYTES + 2 * words) for _, words in ring.blocks())


def _plain_use(place: Workplace, rig: Rig, capacity: int) -> tuple[Ring, float]:
    """Return the ring that is there, and which part of the time pymodbus keeps the line in use."""
    with serial_client(str(rig.layout.directory / "tty-line"), BAUDRATE) as client:
        (ring,) = look_at_rings(client, {1: capacity})
        place.say(f"pymodbus reads {ring.records} records: {reads_wire_s(ring):.0f} s of wire time")
        began_s = place.monotonic_s()
        read_rings(client, [ring])
        return ring, reads_wire_s(ring) / (place.monotonic_s() - began_s)


def _agent_use(place: Workplace, rig: Rig, ring: Ring) -> float:
    """Drain the ring with the agent's bus, poller and spool; return which part of the time the line was in use."""
    config = load_config(rig.layout.agent_config)
    # A pseudo-terminal takes no parity; a second stop bit makes characters as long as those of 8E1.
    line = config.buses[0].model_copy(update={"parity": "N", "stopbits": 2})
    config = config.model_copy(update={"buses": (line,)})
    clock = GatewayClock(config.clock.source)
    topics = GatewayTopics(config.gateway.site, config.gateway.id)
    limits = SpoolLimits(config.spool.max_mib << 20, 86_400_000, config.spool.reserve_mib << 20)
    sealer = Sealer(topics, load_signing_key(config.gateway.signing_key))
    spool = Spool(config.spool.path, limits, sealer, clock.now, clock.trust)
    spool.start()
    try:
        failures: list[BaseException] = []
        field = build_field(config, spool, clock, lambda _: None, failures.append)
        used_s, took_s = _drain(place, field, lambda: _is_confirmed(rig, ring))
        if failures:
            raise BenchFailed(f"the poller ended: {failures[0]!r}")
    finally:
        spool.close()
    # The agent counts its own bytes; it can't have used less of the wire than the records alone take.
    if used_s < reads_wire_s(replace(ring, oldest=ring.confirmed + 1)) * 0.999:
        raise BenchFailed(
            f"the agent says that it used {used_s:.1f} s of the wire, less than the records take"
        )
    return used_s / took_s


def _drain(place: Workplace, field: Field, done: Callable[[], bool]) -> tuple[float, float]:
    """Let the poller run until `done()`; return how long the wire was in use, and how long it took (s)."""
    stop = threading.Event()
    (bus,), (poller,) = field.buses, field.pollers
    thread = threading.Thread(target=poller.run, args=(stop,))
    bus.statistics()  # from here on the line's use is counted
    began_s = place.monotonic_s()
    thread.start()
    try:
        place.wait_until(done, "draining the ring", _DRAIN_S, poll_s=0.05)
        took_s = place.monotonic_s() - began_s
        permille = bus.statistics().wire_busy_permille
    finally:
        stop.set()
        thread.join()
        bus.close()
    if permille is None:
        raise BenchFailed("the bus doesn't tell how much of the wire it used")
    return took_s * permille / 1000, took_s


def _is_confirmed(rig: Rig, ring: Ring) -> bool:
    return any(confirmed >= ring.newest for _, confirmed in rig.sealed_and_confirmed().values())

"""What an agent costs that looks after 32 locks, each visited once a second, with a pour somewhere now and then.

figure    CPU time of the `edge-agent run` process by the time that passed; its memory at the end. RSS counts library
          pages that are shared in full; PSS by its share, which is less here, where many processes run Python
baseline  a process in which pymodbus's synchronous client reads the same status blocks once a second: nothing checked,
          kept or told

At 19200 Bd one line can't do it: a status of 40 words takes 57 ms with its silences, 32 of them 1.8 s. So the locks
stand behind four Modbus TCP links, and in a second measurement on four serial lines at the pace of the wire.
"""

import sys
from dataclasses import dataclass
from random import Random

from bench.rig import Rig
from bench.table import Baseline, Goal, Row
from bench.usage import MIB, Memory, cpu_s, memory
from bench.workplace import Workplace
from demo.estate import Bus, Estate, Lock
from demo.layout import Settings
from demo.process import Child

LOCKS, LINKS = 32, 4
_SETTLE_S = 5.0
_POUR_EVERY_S = 5.0
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class _Cost:
    """CPU in % of a core, memory in bytes."""

    cpu_percent: float
    memory: Memory


def run(place: Workplace) -> list[Row]:
    with _rig(place, "tcp") as rig:
        ports = [str(port) for port in rig.layout.tcp_ports.values()]
        command = [sys.executable, "-m", "bench.plain_poller", str(LOCKS // LINKS), *ports]
        poller = Child("plain-poller", command, rig.layout.logs)
        poller.start()
        try:
            plain = _cost(place, rig, poller, "pymodbus polls 32 status blocks a second")
        finally:
            poller.stop()
        tcp = _agent_cost(place, rig, "32 locks on 4 TCP links at 1 Hz")
    with _rig(place, "rtu") as rig:
        rtu = _agent_cost(place, rig, "32 locks on 4 serial lines at 1 Hz")
    return [*_rows(tcp, plain, "4 TCP links"), *_rows(rtu, plain, "4 serial lines"), *_import_rows(place)]


def _rows(agent: _Cost, plain: _Cost, where: str) -> list[Row]:
    does = "pymodbus's synchronous client reading the same status blocks over TCP, and no more"
    what = f"agent, 32 locks at 1 Hz on {where}"
    small = Goal("figure", "at most", 50.0)
    return [
        Row(
            f"{what}: CPU", "% of a core", (agent.cpu_percent,), Baseline(does, (plain.cpu_percent,)),
            Goal("figure", "at most", 3.0),
        ),
        Row(
            f"{what}: memory (PSS)", "MiB", (agent.memory.pss / MIB,), Baseline(does, (plain.memory.pss / MIB,)),
            small,
        ),
        Row(
            f"{what}: memory (RSS)", "MiB", (agent.memory.rss / MIB,), Baseline(does, (plain.memory.rss / MIB,)),
            small,
        ),
    ]  # fmt: skip


def _rig(place: Workplace, kind: str) -> Rig:
    buses = tuple(
        Bus(f"line-{n}", "rtu", 19200, "wire") if kind == "rtu" else Bus(f"line-{n}", "tcp")
        for n in range(1, LINKS + 1)
    )
    locks = tuple(
        Lock(0x1F0100 + index, buses[index % LINKS].name, index // LINKS + 1, pours_per_day=10.0)
        for index in range(LOCKS)
    )
    estate = Estate("estate-1", "gw-0001", buses, locks)
    return Rig(place.directory / kind, estate, Settings(poll_interval_s=1.0), speed=1.0)


def _agent_cost(place: Workplace, rig: Rig, what: str) -> _Cost:
    rig.start_agent()
    rig.wait(lambda: len(rig.sealed_and_confirmed()) == LOCKS, "the first records of all locks", _START_S)
    return _cost(place, rig, rig.agent, what)


def _cost(place: Workplace, rig: Rig, child: Child, what: str) -> _Cost:
    """Return what a process costs over the time of the measurement, while somebody pours now and then."""
    place.say(f"{what}: measuring for {place.pick(60, 10)} s")
    _pour_for(place, rig, _SETTLE_S)
    used_s, began_s = cpu_s(child.pid), place.monotonic_s()
    _pour_for(place, rig, float(place.pick(60, 10)))
    used_s, took_s = cpu_s(child.pid) - used_s, place.monotonic_s() - began_s
    child.check()
    return _Cost(100 * used_s / took_s, memory(child.pid))


def _pour_for(place: Workplace, rig: Rig, seconds: float) -> None:
    """Let somebody pour at a lock every few seconds, until the time is over."""
    random = Random(1)
    end_s = place.monotonic_s() + seconds
    while (left_s := end_s - place.monotonic_s()) > 0:
        lock = random.choice(rig.estate.locks)
        rig.controls[0].do("pour", lock=lock.name, chamber=1, instant=True)
        place.pause(min(_POUR_EVERY_S, left_s))


def _import_rows(place: Workplace) -> list[Row]:
    """Return what starting costs: Python itself, and Python with the agent's modules."""
    place.say("what importing costs")
    bare_s, bare = _start(place, "bare", "import sys")
    agent_s, agent = _start(
        place, "imported", "import sys; sys.modules['rich'] = None; import edge_agent.agent"
    )
    does = "Python that imports nothing"
    return [
        Row("starting Python and importing the agent: CPU", "s", (agent_s,), Baseline(does, (bare_s,))),
        Row(
            "starting Python and importing the agent: memory (RSS)", "MiB", (agent.rss / MIB,),
            Baseline(does, (bare.rss / MIB,)),
        ),
    ]  # fmt: skip


def _start(place: Workplace, name: str, code: str) -> tuple[float, Memory]:
    """Run some code in a Python of its own; return the CPU time that it took (s), and the memory it then holds."""
    waits = f"{code}; import time; print('ready', flush=True); time.sleep({_START_S})"
    child = Child(name, [sys.executable, "-c", waits], place.directory)
    child.start()
    try:
        child.first_line(_START_S)
        return cpu_s(child.pid), memory(child.pid)
    finally:
        child.kill()

"""What a scan will try, and how long that takes at most: told before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import AgentConfig, CounterLock, RtuBus, TcpBus
from edge_agent.line import SILENCE_S
from edge_agent.technician.scan_probe import LOOKS

BY_ID = Path("/dev/serial/by-id")
SERIAL_ANSWER_S = 0.25  # the map says at most 0.2 (design 2)
TCP_ANSWER_S = 1.0
CONNECT_S = 2.0


@dataclass(frozen=True, slots=True)
class PortSettings:
    """How a serial port is set for one round."""

    baudrate: int
    parity: str

    @property
    def stopbits(self) -> int:
        """Modbus over serial line, 2.5.1: without parity two stop bits would be right; controllers have one."""
        return 1

    def __str__(self) -> str:
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"


@dataclass(frozen=True, slots=True)
class Target:
    """A line to look at: a serial device with settings to try, the likeliest first, or a TCP server.

    `configured`: the locks that should be there, by unit; of `counters` nobody can tell by asking who they are.
    """

    name: str
    device: Path | None = None
    settings: tuple[PortSettings, ...] = ()
    host: str = ""
    port: int = 0
    bus: str | None = None
    configured_at: str | None = None
    configured: tuple[tuple[int, str], ...] = ()
    counters: frozenset[int] = frozenset()

    @property
    def rounds(self) -> int:
        return max(1, len(self.settings))


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. `answer_s`: how long a serial unit is waited for."""

    targets: tuple[Target, ...]
    units: tuple[int, ...]
    answer_s: float

    @property
    def most_s(self) -> float:
        """How long it takes at most; as a rule much less, since who answers does so at once."""
        return sum(self.target_most_s(target) for target in self.targets)

    def target_most_s(self, target: Target) -> float:
        """Silence in all rounds but one, and in that one the worst: broken answers, after which a line is drained."""
        looks = len(self.units_of(target)) * (target.rounds - 1 + LOOKS)
        if target.device is None:
            return CONNECT_S + looks * (TCP_ANSWER_S + SILENCE_S)
        return looks * (self.answer_s + SILENCE_S)

    @property
    def steps(self) -> int:
        """How many looks there are if nobody answers: what progress is counted in."""
        return sum(target.rounds * len(self.units_of(target)) for target in self.targets)

    @property
    def asked(self) -> int:
        """How many unit ids are asked, on all lines together."""
        return sum(len(self.units_of(target)) for target in self.targets)

    def units_of(self, target: Target) -> tuple[int, ...]:
        """Return whom to ask on this line: as planned, and who is configured there."""
        return tuple(sorted({*self.units, *(unit for unit, _ in target.configured)}))


def serial_targets(
    config: AgentConfig | None, ports: Sequence[Path], bauds: Sequence[int], parities: Sequence[str]
) -> list[Target]:
    """Return the serial lines to look at: `ports`, or else what is plugged in and what is configured."""
    by_device = {
        str(bus.device.resolve()): bus for bus in (config.buses if config else ()) if isinstance(bus, RtuBus)
    }
    devices = list(ports) or [*found_ports(), *(bus.device for bus in by_device.values())]
    targets: dict[str, Target] = {}
    for device in devices:
        bus = by_device.get(str(device.resolve()))
        own = PortSettings(bus.baudrate, bus.parity) if bus is not None else None
        tried = [PortSettings(baud, parity) for baud in bauds for parity in parities]
        settings = tuple(dict.fromkeys([*([own] if own else []), *tried]))
        targets.setdefault(
            str(device.resolve()),
            Target(
                name=str(bus.device if bus is not None else device),
                device=bus.device if bus is not None else device,
                settings=settings,
                bus=bus.name if bus is not None else None,
                configured_at=None if own is None else str(own),
                configured=_locks(config, bus),
                counters=_counters(config, bus),
            ),
        )
    return list(targets.values())


def tcp_targets(config: AgentConfig | None, hosts: Sequence[tuple[str, int]]) -> list[Target]:
    """Return the Modbus TCP servers to look at."""
    known = {(bus.host, bus.port): bus for bus in (config.buses if config else ()) if isinstance(bus, TcpBus)}
    targets = []
    for host, port in dict.fromkeys(hosts):
        bus = known.get((host, port))
        targets.append(
            Target(
                name=f"{host}:{port}", host=host, port=port, bus=bus.name if bus is not None else None,
                configured=_locks(config, bus), counters=_counters(config, bus),
            )
        )  # fmt: skip
    return targets


def found_ports() -> list[Path]:
    """Return what is plugged in, by names that stay when it is plugged in elsewhere."""
    return sorted(BY_ID.iterdir()) if BY_ID.is_dir() else []


def _locks(config: AgentConfig | None, bus: RtuBus | TcpBus | None) -> tuple[tuple[int, str], ...]:
    if config is None or bus is None:
        return ()
    return tuple((lock.unit, lock.lock) for lock in config.locks if lock.bus == bus.name)


def _counters(config: AgentConfig | None, bus: RtuBus | TcpBus | None) -> frozenset[int]:
    locks = config.locks if config is not None and bus is not None else ()
    return frozenset(
        lock.unit
        for lock in locks
        if bus is not None and lock.bus == bus.name and isinstance(lock, CounterLock)
    )

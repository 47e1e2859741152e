"""Runs a scan: line after line, round after round, unit after unit, each for a bounded time."""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import monotonic

from edge_agent.errors import ConfigError, LineDown, TryLater
from edge_agent.line import Line
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from edge_agent.technician.remedies import with_remedy
from edge_agent.technician.scan_plan import CONNECT_S, TCP_ANSWER_S, Plan, PortSettings, Target
from edge_agent.technician.scan_probe import Heard, Look, look_closely
from edge_agent.technician.scan_verdicts import UnitVerdict, judge, main_settings

NETWORK_MOST = 1024
_AT_ONCE = 64

Borrow = Callable[[str], AbstractContextManager[object]]
"""Has a configured bus for ourselves while we are in it (access.FieldAccess.borrow)."""


@dataclass(frozen=True, slots=True)
class LineReport:
    """One line. `at`: its settings, None where nobody answered. `trouble`: why it couldn't be looked at, or not all."""

    target: Target
    at: str | None
    units: tuple[UnitVerdict, ...] = ()
    trouble: str | None = None

    @property
    def is_set_otherwise(self) -> bool:
        """True if the line is configured with other settings than those at which its locks answer."""
        configured = self.target.configured_at
        return configured is not None and self.at is not None and self.at != configured

    @property
    def is_good(self) -> bool:
        """True if nothing is wrong with what was found."""
        return self.trouble is None and not self.is_set_otherwise and all(unit.is_good for unit in self.units)


def scan(plan: Plan, borrow: Borrow, progress: Callable[[int, int], None]) -> list[LineReport]:
    """Return a report for each line; `progress`: looks done, of how many. A line that fails stops no other."""
    reports: list[LineReport] = []
    done = 0
    for target in plan.targets:

        def step(rounds: int, before: int = done) -> None:
            progress(before + rounds, plan.steps)

        try:
            if target.bus is not None:
                with borrow(target.bus):
                    reports.append(_scan_line(plan, target, step))
            else:
                reports.append(_scan_line(plan, target, step))
        except LineDown as error:
            reports.append(LineReport(target, None, trouble=with_remedy(error)))
        except (
            TryLater
        ) as error:  # the agent can't lend it now; it may well be that others aren't the agent's
            reports.append(LineReport(target, None, trouble=str(error)))
        done += target.rounds * len(plan.units_of(target))
        progress(done, plan.steps)
    return reports


def _scan_line(plan: Plan, target: Target, step: Callable[[int], None]) -> LineReport:
    units = plan.units_of(target)
    heard: dict[int, dict[str, Sequence[Look]]] = {unit: {} for unit in units}
    give_up_at, done, trouble = monotonic() + plan.target_most_s(target), 0, None
    for settings in target.settings or (None,):
        line = _line(target, settings, plan.answer_s)
        line.open()
        try:
            for unit in units:
                done += 1
                step(done)
                if any(looks[0].heard is not Heard.NOTHING for looks in heard[unit].values()):
                    continue  # it has answered in an earlier round
                if monotonic() > give_up_at:
                    trouble = "somebody talks on this line without end; not all of it could be looked at"
                    break
                heard[unit][str(settings or target.name)] = look_closely(line, unit)
        finally:
            line.close()
    configured_at = target.configured_at or (target.name if target.device is None else None)
    verdicts = judge(heard, configured_at, dict(target.configured), target.counters)
    at = main_settings(heard, configured_at) if verdicts else None
    return LineReport(target, at, tuple(verdicts), trouble)


def _line(target: Target, settings: PortSettings | None, answer_s: float) -> Line:
    if target.device is None or settings is None:
        return TcpLine(target.host, target.port, TCP_ANSWER_S, CONNECT_S)
    port = SerialSettings(str(target.device), settings.baudrate, settings.parity, settings.stopbits)
    return RtuLine(port, answer_s)


def hosts_in(network: str) -> list[str]:
    """Return the addresses of a network such as 192.168.7.0/24; ConfigError where it isn't one, or too large."""
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        raise ConfigError(f"--network {network}: {error}; remedy: write it as 192.168.7.0/24") from error
    if found.num_addresses > NETWORK_MOST:
        raise ConfigError(
            f"--network {network}: {found.num_addresses} addresses; remedy: name at most {NETWORK_MOST}, e.g. a /24"
        )
    return [str(address) for address in found.hosts()]


def search_most_s(hosts: int) -> float:
    """Return how long looking for so many hosts takes at most."""
    return -(-hosts // _AT_ONCE) * CONNECT_S


def listening(hosts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of these addresses where somebody takes a connection."""
    addresses = list(hosts)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [
            address for address, there in zip(addresses, pool.map(_listens, addresses), strict=True) if there
        ]


def _listens(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, CONNECT_S):
            return True
    except OSError:
        return False

"""Crew, watchdog, alarms, reporter: nothing may die or get stuck unnoticed."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from edge_agent.alarms import Alarms
from edge_agent.clock import GatewayClock
from edge_agent.crew import Crew
from edge_agent.log import configure_log, keep_quiet
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.machine.measuring import Machine
from edge_agent.reporter import Intervals, LockStates, Reporter, Subject
from edge_agent.spool_reader import SpoolReader
from edge_agent.watchdog import Beat, Watchdog
from tests.unit.edge_agent.gateway import START, TOPICS, make_spool, opened, receipt_for, visit
from tests.unit.edge_agent.machine.raspberry import Raspberry
from wastelock.messages import GatewayState, LockState, Telemetry


def _wait(event: threading.Event) -> None:
    event.wait()


def test_one_dead_thread_ends_them_all_and_the_first_error_is_kept() -> None:
    stop = threading.Event()
    crew = Crew(stop)

    def die(_stop: threading.Event) -> None:
        raise ZeroDivisionError("first")

    crew.start("worker", _wait)
    crew.start("broken", die)
    assert stop.wait(5)
    assert crew.join(5) == ()
    assert isinstance(crew.failure, ZeroDivisionError)
    crew.fail("late", ValueError("second"))
    assert isinstance(crew.failure, ZeroDivisionError)


def test_a_thread_that_returns_without_being_asked_to_counts_as_dead() -> None:
    stop = threading.Event()
    crew = Crew(stop)
    crew.start("lazy", lambda _stop: None)
    assert stop.wait(5)
    assert "lazy ended without being asked" in str(crew.failure)


def test_a_thread_that_does_not_end_is_named() -> None:
    stop, released = threading.Event(), threading.Event()
    crew = Crew(stop)
    crew.start("busy", lambda _stop: _wait(released))
    stop.set()
    assert crew.join(0.1) == ("busy",)
    released.set()
    assert crew.join(5) == ()


def test_the_watchdog_is_told_only_while_every_loop_makes_progress() -> None:
    times = {"poll": 0.0, "spool": 0.0}
    told: list[str] = []
    beats = {"poll": Beat(lambda: times["poll"], 10), "spool": Beat(lambda: times["spool"], 10)}
    watchdog = Watchdog(beats, told.append)
    watchdog.tell(5.0)
    assert told == ["READY=1", "WATCHDOG=1"]
    times["poll"] = 14.0
    watchdog.tell(15.0)
    assert watchdog.stuck(15.0) == ("spool",)
    assert told == ["READY=1", "WATCHDOG=1"]
    times["spool"] = 15.0
    watchdog.tell(16.0)
    assert told == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_an_alarm_is_one_change_when_it_begins_and_one_when_it_ends() -> None:
    alarms = Alarms()
    alarms.raise_("spool full", "no room")
    alarms.raise_("spool full", "no room")
    assert alarms.version == 1
    assert alarms.texts() == ("spool full: no room",)
    alarms.clear("spool full")
    alarms.clear("spool full")
    assert alarms.version == 2
    assert alarms.texts() == ()


def test_at_most_32_alarms_are_told_at_once() -> None:
    alarms = Alarms()
    for number in range(50):
        alarms.raise_(f"alarm {number:02}", "x")
    assert len(alarms.texts()) == 32


class Link:
    """An uplink that keeps what is published; the real one is tried in test_uplink."""

    def __init__(self) -> None:
        self.is_connected = True
        self.sessions = 1
        self.published: list[tuple[str, bytes]] = []

    def publish_state(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    def publish_passing(self, topic: str, payload: bytes, expiry_s: int) -> None:
        assert expiry_s == 120
        self.published.append((topic, payload))

    def take(self, topic: str) -> list[bytes]:
        """Return and forget what was published on this topic."""
        taken = [payload for at, payload in self.published if at == topic]
        self.published = [item for item in self.published if item[0] != topic]
        return taken


class Desk:
    """A reporter with a clock that is moved by hand."""

    def __init__(self, path: Path) -> None:
        self.link, self.states, self.alarms, self.now_s = Link(), LockStates(), Alarms(), 0.0
        self.pi = Raspberry(path.parent / "machine")
        clock = GatewayClock("ntp", lambda: START)
        machine = Machine(self.pi.directory, clock, self.pi.sources, lambda: self.now_s)
        self.machine = MachineKeeper(machine, self.alarms, keep_quiet, lambda: self.now_s)
        self.reporter = Reporter(
            Subject("gw-0001", 7, "0.1.0", "kid", ("1f00a1", "1f00a2")),
            TOPICS,
            Intervals(telemetry_s=60, state_s=300),
            self.link,  # type: ignore[arg-type]
            self.states,
            self.alarms,
            clock,
            lambda: SpoolReader(path),
            (),
            Watchdog({}, lambda _message: None),
            self.machine,
            desired_revision=lambda: self.desired_revision,
            now_s=lambda: self.now_s,
        )
        self.desired_revision: int | None = None
        self.reader = SpoolReader(path)

    def step(self, after_s: float = 1.0) -> None:
        self.now_s += after_s
        self.reporter.step(self.reader)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "spool.db"
    with opened(make_spool(path)) as spool:
        for seq in range(1, 5):
            spool.seal(visit(seq=seq))
        spool.apply_receipt(receipt_for(path, 1))
    return path


def lock_state(lock: str = "1f00a1", newest: int = 1) -> LockState:
    return LockState(lock=lock, driver="wlc-1", at=datetime.now(UTC), reachable=True, newest_seq=newest)


def test_birth_is_told_in_each_session_on_each_alarm_and_at_the_interval(path: Path) -> None:
    desk = Desk(path)
    desk.step()
    (birth,) = [GatewayState.model_validate_json(payload) for payload in desk.link.take(TOPICS.gateway_state)]
    assert (birth.online, birth.incarnation, birth.kid, birth.software) == (True, 7, "kid", "0.1.0")
    assert (birth.oldest_page, birth.newest_page, birth.committed_through) == (1, 4, 1)
    desk.step()
    assert desk.link.take(TOPICS.gateway_state) == []
    desk.alarms.raise_("spool full", "no room")
    desk.step()
    (alarmed,) = desk.link.take(TOPICS.gateway_state)
    assert GatewayState.model_validate_json(alarmed).alarms == ("spool full: no room",)
    desk.link.sessions = 2
    desk.step()
    assert len(desk.link.take(TOPICS.gateway_state)) == 1
    desk.step(301)
    assert len(desk.link.take(TOPICS.gateway_state)) == 1
    desk.desired_revision = 7
    desk.step()
    (desiring,) = desk.link.take(TOPICS.gateway_state)
    assert GatewayState.model_validate_json(desiring).desired_revision == 7
    desk.step()
    assert desk.link.take(TOPICS.gateway_state) == []
    desk.reader.close()


def test_a_locks_state_is_told_when_there_is_a_new_one_at_the_interval_and_in_a_new_session(
    path: Path,
) -> None:
    desk, topic = Desk(path), TOPICS.lock_state("1f00a1")
    desk.states.report(lock_state())
    desk.step()
    assert len(desk.link.take(topic)) == 1
    desk.step()
    assert desk.link.take(topic) == []
    desk.states.report(lock_state(newest=2))
    desk.step()
    assert LockState.model_validate_json(desk.link.take(topic)[0]).newest_seq == 2
    desk.step(301)
    assert len(desk.link.take(topic)) == 1
    desk.link.sessions = 2
    desk.step()
    assert len(desk.link.take(topic)) == 1
    desk.reader.close()


def test_after_a_reconnect_hundreds_of_states_are_spread_over_several_turns(path: Path) -> None:
    desk = Desk(path)
    for number in range(120):
        desk.states.report(lock_state(f"{0x1F0000 + number:06x}"))
    counts = []
    for _ in range(4):
        desk.step()
        counts.append(sum("/state/lock/" in topic for topic, _ in desk.link.published))
    assert counts == [50, 100, 120, 120]
    desk.reader.close()


def test_telemetry_tells_how_much_waits_and_since_when(path: Path) -> None:
    desk = Desk(path)
    desk.step()
    (payload,) = desk.link.take(TOPICS.telemetry)
    telemetry = Telemetry.model_validate_json(payload)
    assert (telemetry.spool_pages, telemetry.unsent_pages, telemetry.oldest_unsent_at) == (4, 3, START)
    assert telemetry.clock == "ntp"
    assert telemetry.disk_free_bytes is not None and telemetry.memory_rss_bytes is not None
    desk.step(30)
    assert desk.link.take(TOPICS.telemetry) == []
    desk.step(31)
    assert len(desk.link.take(TOPICS.telemetry)) == 1
    desk.reader.close()


def test_nothing_is_published_without_a_session_and_nothing_is_lost_by_it(path: Path) -> None:
    desk = Desk(path)
    desk.link.is_connected = False
    desk.states.report(lock_state())
    desk.step()
    assert desk.link.published == []
    desk.link.is_connected = True
    desk.step()
    assert {topic for topic, _ in desk.link.published} == {
        TOPICS.gateway_state,
        TOPICS.lock_state("1f00a1"),
        TOPICS.telemetry,
    }
    desk.reader.close()


def test_a_machine_in_need_sends_telemetry_less_often_then_repeats_states_less_often_and_says_so(
    path: Path,
) -> None:
    desk, topic = Desk(path), TOPICS.lock_state("1f00a1")
    desk.states.report(lock_state())

    def minutes(count: int) -> tuple[list[Telemetry], int]:
        """Let so many minutes pass; return the telemetry and the number of lock states published in them."""
        for _ in range(count * 4):
            desk.machine.look()
            desk.step(15)
        telemetry = [Telemetry.model_validate_json(payload) for payload in desk.link.take(TOPICS.telemetry)]
        return telemetry, len(desk.link.take(topic))

    usual, states = minutes(30)
    assert (len(usual), states) == (30, 6)
    assert usual[-1].machine is not None and usual[-1].machine.saving == ()
    desk.pi.heat(90)
    minutes(12)
    sparing, states = minutes(30)
    assert (len(sparing), states) == (12, 2)
    assert all(
        told.machine is not None and told.machine.saving == ("telemetry", "states") for told in sparing
    )
    desk.states.report(lock_state(newest=2))
    desk.step(1)
    assert len(desk.link.take(topic)) == 1, "what is news is told at once, whatever the machine lacks"
    desk.pi.heat(50)
    minutes(5)
    again, _ = minutes(30)
    assert len(again) == 30
    desk.reader.close()


def test_a_log_that_is_kept_quiet_still_has_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    configure_log(log_format="json")
    try:
        log = structlog.get_logger()
        keep_quiet(True)
        log.info("only informative")
        log.warning("somebody has to look")
        keep_quiet(False)
        log.info("informative again")
    finally:
        structlog.reset_defaults()
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert told == ["somebody has to look", "informative again"]

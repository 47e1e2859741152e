"""Which figures of a bus mean what: a table of faults, each with the verdict and how sure it is."""

from dataclasses import replace

import pytest

from edge_agent.technician.doctor.bus_figures import BusFigures, Trial, UnitFigures
from edge_agent.technician.doctor.bus_verdicts import judge_bus
from edge_agent.technician.doctor.findings import Level, Sure

SERIALS = {1: "1f00a1", 2: "1f00a2", 3: "1f00a3", 4: "1f00a4"}
E_TRIAL = Trial("19200 8E1", "E", 19_200, 300)
N_TRIAL = Trial("19200 8N1", "N", 19_200, 300)


def unit(number: int = 1, **changes: object) -> UnitFigures:
    """A unit that answered every one of 24 requests, as itself."""
    figures = UnitFigures(
        unit=number,
        lock=SERIALS[number],
        expected_serial=SERIALS[number],
        requests=24,
        answered=24,
        round_trip_ms=30.0,
        serials=(SERIALS[number],) * 12,
    )
    return replace(figures, **changes)  # type: ignore[arg-type]  # each of its own type


def silent(number: int = 1, **changes: object) -> UnitFigures:
    figures = unit(number, requests=4, answered=0, timeouts=4, serials=(), round_trip_ms=None)
    return replace(figures, **changes)  # type: ignore[arg-type]


def bus(*units: UnitFigures, **changes: object) -> BusFigures:
    figures = BusFigures("yard", True, "/dev/ttyUSB0", "/dev/ttyUSB0 19200 8E1", 300, units)
    return replace(figures, **changes)  # type: ignore[arg-type]


def tcp(*units: UnitFigures, **changes: object) -> BusFigures:
    figures = BusFigures("street", False, "10.0.0.9:502", "10.0.0.9:502", 1000, units)
    return replace(figures, **changes)  # type: ignore[arg-type]


GOOD = (unit(1), unit(2), unit(3))
BROKEN = {"answered": 12, "broken": 12, "broken_crc": 12}

FAULTS: dict[str, tuple[BusFigures, list[tuple[str, Sure]]]] = {
    "all of them silent": (
        bus(silent(1), silent(2), trials_made=True), [("nobody_answers", Sure.LIKELY)],
    ),
    "the only one silent": (bus(silent(1)), [("nobody_answers", Sure.POSSIBLE)]),
    "one silent among others": (
        bus(unit(1), silent(2), unit(3)), [("dead_unit", Sure.LIKELY)],
    ),
    "one that answers without parity": (
        bus(unit(1), silent(2, trials=(replace(N_TRIAL, took_ms=40.0),)), unit(3)),
        [("wrong_parity", Sure.CERTAIN)],
    ),
    "all of them without parity": (
        bus(silent(1, trials=(replace(N_TRIAL, took_ms=40.0),)), silent(2, trials=(replace(N_TRIAL, took_ms=41.0),))),
        [("wrong_parity", Sure.CERTAIN)],
    ),
    "one at another baud rate": (
        bus(unit(1), silent(2, trials=(E_TRIAL, Trial("9600 8E1", "E", 9600, 300, 60.0)))),
        [("wrong_baudrate", Sure.CERTAIN)],
    ),
    "some at other settings, one dead": (
        bus(silent(1, trials=(replace(N_TRIAL, took_ms=40.0),)), silent(2, trials=(N_TRIAL,)), unit(3)),
        [("wrong_parity", Sure.CERTAIN), ("dead_unit", Sure.LIKELY)],
    ),
    "two with one id": (
        bus(unit(1), unit(2, answered=0, broken=24, broken_crc=20, late_or_foreign=4, serials=())),
        [("duplicate_unit", Sure.LIKELY)],
    ),
    "two with one id that never meet": (
        bus(unit(1), unit(2, answered=10, broken=14, late_or_foreign=14)), [("duplicate_unit", Sure.LIKELY)],
    ),
    "two with one id, and who is asked next gets the second's answer": (
        bus(unit(1), unit(2, answered=16, broken=8, broken_crc=4), unit(3, answered=16, broken=8, late_or_foreign=8)),
        [("duplicate_unit", Sure.LIKELY)],
    ),
    "two with one id, both heard": (
        bus(unit(1), unit(2, answered=14, broken=10, serials=("1f00a2", "1f00b7", "1f00a2"))),
        [("duplicate_unit", Sure.CERTAIN)],
    ),
    "all answers broken now and then": (
        bus(unit(1, answered=20, broken=4, broken_crc=4), unit(2, answered=21, broken=3, broken_crc=3)),
        [("bad_line", Sure.LIKELY)],
    ),
    "the only unit's answers broken": (bus(unit(1, **BROKEN)), [("bad_line", Sure.POSSIBLE)]),
    "one unit's answers broken now and then": (
        bus(unit(1), unit(2, answered=22, broken=2, broken_crc=2), unit(3)),
        [("bad_branch", Sure.LIKELY)],
    ),
    "one that answers now and then": (
        bus(unit(1), unit(2, answered=20, timeouts=4)), [("flaky_unit", Sure.LIKELY)],
    ),
    "another lock": (
        bus(unit(1), unit(2, serials=("1f00b7",) * 12)), [("wrong_lock", Sure.CERTAIN)],
    ),
    "two mixed up": (
        bus(unit(1, serials=("1f00a2",)), unit(2, serials=("1f00a1",))),
        [("wrong_lock", Sure.CERTAIN), ("wrong_lock", Sure.CERTAIN)],
    ),
    "something else": (
        bus(unit(1), unit(2, answered=0, exceptions=24, serials=(), stranger="it refuses to say who it is")),
        [("not_this_map", Sure.CERTAIN)],
    ),
    "slow answers of a serial server": (
        tcp(unit(1, answered=4, timeouts=20, late_or_foreign=18)), [("slow_answers", Sure.LIKELY)],
    ),
    "answers that all come too late": (
        tcp(silent(1, late_or_foreign=4, trials=(Trial("", "", 0, 3000, 1450.0),))),
        [("slow_answers", Sure.CERTAIN)],
    ),
    "a server that hears nothing of its unit": (
        tcp(silent(1, said_by_server=True)), [("silent_behind_server", Sure.CERTAIN)],
    ),
    "a server whose unit is silent": (tcp(silent(1)), [("dead_unit", Sure.LIKELY)]),
    "no adapter": (
        bus(silent(1, timeouts=0), trouble="/dev/ttyUSB0: can't be opened: [Errno 2] No such file or directory"),
        [("adapter_missing", Sure.CERTAIN)],
    ),
    "no right to the adapter": (
        bus(trouble="/dev/ttyUSB0: can't be opened: [Errno 13] Permission denied"),
        [("adapter_forbidden", Sure.CERTAIN)],
    ),
    "another program has it": (
        bus(trouble="/dev/ttyUSB0: can't be opened: Could not exclusively lock port /dev/ttyUSB0"),
        [("adapter_busy", Sure.CERTAIN)],
    ),
    "a broken adapter": (
        bus(trouble="/dev/ttyUSB0: [Errno 5] Input/output error"), [("adapter_fails", Sure.CERTAIN)],
    ),
    "no server": (
        tcp(trouble="10.0.0.9:502: can't be opened: [Errno 111] Connection refused"),
        [("server_refuses", Sure.CERTAIN)],
    ),
    "no way to the server": (
        tcp(trouble="10.0.0.9:502: can't be opened: timed out"), [("server_away", Sure.CERTAIN)],
    ),
    "an adapter that comes and goes": (
        bus(*GOOD, broke=2, times_broken=5), [("comes_and_goes", Sure.POSSIBLE)],
    ),
    "an adapter that comes and goes with too little power": (
        bus(*GOOD, broke=2, times_broken=5, undervoltage=True), [("comes_and_goes", Sure.LIKELY)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_verdict_and_each_verdict_its_remedy(fault: str) -> None:
    figures, expected = FAULTS[fault]
    found = judge_bus(figures)
    assert [(finding.name, finding.sure) for finding in found] == expected
    for finding in found:
        assert finding.level is Level.TROUBLE
        assert finding.evidence and finding.remedy and finding.area == f"bus {figures.bus}"


def test_a_good_bus_is_said_to_be_good_with_its_figures() -> None:
    [finding] = judge_bus(bus(*GOOD))
    assert (finding.level, finding.what) == (Level.GOOD, "3 units answer at /dev/ttyUSB0")
    assert finding.evidence == "72 requests, 0 without an answer"


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        (bus(), "no_locks"),
        (bus(silent(1), lent_to="pid 4711"), "lent"),
        (bus(*GOOD, times_broken=3), "went_before"),
        (bus(unit(1, round_trip_ms=260.0)), "nearly_slow"),
    ],
)
def test_what_is_no_trouble_is_a_notice(figures: BusFigures, name: str) -> None:
    [finding] = judge_bus(figures)
    assert (finding.name, finding.level) == (name, Level.NOTICE)


def test_one_broken_answer_of_many_is_no_trouble() -> None:
    for figures in (unit(1, answered=23, broken=1, broken_crc=1), unit(1, answered=23, timeouts=1)):
        [finding] = judge_bus(bus(figures, unit(2)))
        assert finding.level is Level.GOOD


def test_a_lock_that_was_mixed_up_is_told_where_it_is_configured() -> None:
    first, _ = judge_bus(bus(unit(1, serials=("1f00a2",)), unit(2, serials=("1f00a1",))))
    assert "it is configured as unit 2" in first.evidence


def test_the_remedy_for_late_answers_has_a_time_that_fits() -> None:
    [finding] = judge_bus(tcp(silent(1, late_or_foreign=4, trials=(Trial("", "", 0, 3000, 1450.0),))))
    assert "answer_timeout_ms = 2200" in finding.remedy

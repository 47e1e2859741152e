"""When the machine's alarms begin and end, and what the agent does less of: time is moved by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.alarms import Alarms
from edge_agent.clock import GatewayClock
from edge_agent.machine.conditions import CONDITIONS, STATES_AFTER_S, Watch
from edge_agent.machine.keeper import MachineKeeper
from edge_agent.machine.measuring import Machine
from tests.unit.edge_agent.machine.raspberry import Raspberry
from wastelock.messages import MachineHealth

BY_NAME = {condition.alarm: condition for condition in CONDITIONS}


class Kept:
    """A keeper over a laid-out Raspberry Pi."""

    def __init__(self, root: Path) -> None:
        self.pi, self.alarms, self.quiet, self.now_s = Raspberry(root), Alarms(), [False], 0.0
        clock = GatewayClock("auto", is_synchronised=lambda: True)
        machine = Machine(self.pi.directory, clock, self.pi.sources, lambda: self.now_s)
        self.keeper = MachineKeeper(machine, self.alarms, self.quiet.append, lambda: self.now_s)

    def look(self, after_s: float = 0.0) -> tuple[str, ...]:
        """Let time pass, look every 15 s, and return the names of the alarms."""
        until_s = self.now_s + after_s
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + 15)
            self.keeper.look()
        self.keeper.look()
        return self.alarms.names()

    def saving(self) -> tuple[str, ...]:
        assert self.keeper.health is not None
        return self.keeper.health.saving


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_good_machine_has_no_alarm_and_saves_nothing(kept: Kept) -> None:
    assert kept.look(3600) == ()
    assert kept.saving() == ()
    assert kept.keeper.telemetry_interval_s(60) == 60 and kept.keeper.state_interval_s(300) == 300
    assert kept.alarms.version == 0


def test_heat_that_lasts_costs_telemetry_first_then_states_and_all_comes_back_by_itself(kept: Kept) -> None:
    kept.pi.heat(82)
    assert kept.look() == ()
    assert kept.look(60) == ("machine hot",)
    assert kept.saving() == ("telemetry",)
    assert (kept.keeper.telemetry_interval_s(60), kept.keeper.state_interval_s(300)) == (150, 300)
    kept.look(STATES_AFTER_S)
    assert kept.saving() == ("telemetry", "states")
    assert kept.keeper.state_interval_s(300) == 900
    kept.pi.heat(78)  # neither hot nor cool: nothing changes
    assert kept.look(3600) == ("machine hot",)
    kept.pi.heat(74)
    kept.look()
    assert kept.look(45) == ("machine hot",)
    assert kept.look(15) == ()
    assert kept.saving() == ()
    assert kept.alarms.version == 2  # begun and ended, and not told anew in between


def test_what_saves_never_makes_anything_more_frequent_than_it_is_configured(kept: Kept) -> None:
    kept.pi.heat(90)
    kept.look(60 + STATES_AFTER_S)
    assert (kept.keeper.telemetry_interval_s(600), kept.keeper.state_interval_s(3600)) == (600, 3600)


def test_a_dip_of_the_voltage_is_an_alarm_at_once_until_ten_minutes_were_good(kept: Kept) -> None:
    kept.pi.dip(True)
    assert kept.look() == ("power low",)
    kept.pi.dip(False)
    assert kept.look(590) == ("power low",)
    kept.pi.dip(True)
    assert kept.look() == ("power low",)
    kept.pi.dip(False)
    assert kept.look(600) == ("power low",)
    assert kept.look(15) == ()


def test_a_disk_that_became_read_only_keeps_the_log_quiet_until_it_can_be_written(kept: Kept) -> None:
    kept.pi.mount("rw,noatime", "ro")
    assert kept.look() == ("disk read-only",)
    assert kept.saving() == ("telemetry", "log")
    kept.pi.mount("rw,noatime")
    assert kept.look() == ()
    assert kept.quiet == [False, True, False]


def test_a_worn_disk_is_told_and_nothing_is_saved_for_it(kept: Kept) -> None:
    kept.pi.wear("0x08 0x03")
    assert kept.look() == ("disk worn",)
    assert kept.saving() == ()
    assert "80 %" in kept.alarms.texts()[0]


def levels(name: str) -> tuple[int, int]:
    return BY_NAME[name].raise_at, BY_NAME[name].clear_at


@pytest.mark.parametrize(
    ("alarm", "field", "bad", "between", "good"),
    [
        ("machine overloaded", "load_permille", 2000, 1501, 1500),
        ("memory low", "memory_available_bytes", 64 << 20, (96 << 20) - 1, 96 << 20),
        ("disk low", "disk_free_permille", 30, 49, 50),
        ("clock alone", "clock_source", "rtc", "rtc", "timesyncd"),
    ],
)
def test_each_alarm_begins_and_ends_at_its_levels(
    alarm: str, field: str, bad: int | str, between: int | str, good: int | str
) -> None:
    condition = BY_NAME[alarm]
    watch, now_s = Watch(condition), 0.0

    def look(value: int | str, after_s: float) -> bool:
        nonlocal now_s
        watch.look(MachineHealth.model_validate({field: value}), now_s)
        now_s += after_s
        watch.look(MachineHealth.model_validate({field: value}), now_s)
        return watch.is_on

    assert not look(good, 100_000)
    assert look(bad, condition.raise_after_s)
    assert look(between, 100_000)
    assert not look(good, condition.clear_after_s)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([None, 700, 751, 799, 800, 900]), st.floats(0, 200)), max_size=60
    )
)
def test_an_alarm_never_flutters_and_never_ends_while_it_is_hot(
    steps: list[tuple[int | None, float]],
) -> None:
    watch, now_s, moved_at_s = Watch(replace(BY_NAME["machine hot"])), 0.0, -60.0
    for temperature_dc, after_s in steps:
        now_s += after_s
        was_on = watch.is_on
        if watch.look(MachineHealth(temperature_dc=temperature_dc), now_s):
            assert now_s - moved_at_s >= 60
            moved_at_s = now_s
            assert watch.is_on is not was_on
            assert (temperature_dc or 0) >= 800 if watch.is_on else (temperature_dc or 0) <= 750
        assert watch.is_on is (watch.text is not None)


def test_each_alarm_says_what_to_do() -> None:
    for condition in CONDITIONS:
        text = condition.text(MachineHealth())
        assert ":" in text and len(text) < 300, condition.alarm

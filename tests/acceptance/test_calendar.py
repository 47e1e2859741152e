"""Nothing may depend on the day it runs on: test chains live in a calendar of their own, a demonstration on any day."""

from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import pytest

from demo.chain import Chain
from demo.demonstration import Demonstration, Plan
from demo.layout import Layout, Settings
from demo.screen import open_screen
from firmware_sim.residents import Neighbourhood
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port

TECHNICIAN_AT_2B0001 = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)  # until 12:51
QUIET_FOR_S = 2.5 * 3600
A_WHILE_S = 600


@pytest.mark.parametrize("seed", range(1, 6))
def test_in_the_quiet_night_nobody_is_at_a_lock_and_nobody_comes_for_hours(seed: int) -> None:
    night_s = QUIET_NIGHT.timestamp()
    for lock in small_estate(tcp_locks=4, pours_per_day=200).locks:
        people = Neighbourhood(seed, lock.serial, lock.chambers_ml, lock.dwellings, lock.pours_per_day, None)
        after = takewhile(
            lambda visit: visit.at_s < night_s + QUIET_FOR_S, people.visits(night_s - A_WHILE_S)
        )
        assert list(after) == []


def test_a_chain_begins_with_every_lock_ready_whatever_day_it_is(start_chain: StartChain) -> None:
    chain = start_chain()
    assert {ring["state"] for ring in chain.rings().values()} == {"locked"}
    pour(chain, 3)


@pytest.mark.long
def test_a_demonstration_ends_equal_also_while_a_technician_is_at_a_lock(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "chain", small_estate(), free_port)
    settings = Settings(poll_interval_s=0.1, sink=QUICK_SINK)
    with Chain(
        layout, settings, backlog_days=2, speed=20, export=export, calendar_at=TECHNICIAN_AT_2B0001
    ) as chain:
        answer = chain.control.do("pour", lock="2b0001", chamber=1, instant=True)
        assert (answer["answer"], chain.rings()["2b0001"]["state"]) == ("out_of_service", "maintenance")
        Demonstration(chain, Plan(live_pours=3, deadline_s=60), open_screen(), seed=1).run()
        assert chain.compare_now().equal
        assert chain.rings()["2b0001"]["state"] == "locked", (
            "everybody was sent home, the technician included"
        )

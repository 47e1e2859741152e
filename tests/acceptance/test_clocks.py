"""Clocks jump, drift and get lost, the gateway's and the controllers'. Pours are kept by number, not by time."""

import pytest

from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour, set_wall_clock
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth

DAY_S = 86_400
QUICK = Settings(poll_interval_s=0.1, sink=QUICK_SINK)


@pytest.mark.parametrize("program", ["edge-agent", "cloud-sink"])
def test_wall_clock_jumps_while_pages_are_sealed_and_committed(start_chain: StartChain, program: str) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, backlog_days=2)
    child = chain.agent if program == "edge-agent" else chain.sink
    offset = chain.layout.directory / "clock"
    child.stop()
    set_wall_clock(child, offset, 0)
    child.start()
    for jump_s in (0, 3 * DAY_S, -2 * DAY_S, -57 * 365 * DAY_S, 90, 0):
        set_wall_clock(child, offset, jump_s)
        pour(chain, 4)
        chain.wait_drained(60)
    assert_ledger_is_truth(chain, at_least=24)


def test_controllers_clock_steps_drifts_and_is_lost(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK, backlog_days=2)
    first, second, third = (lock.name for lock in chain.layout.estate.locks)
    chain.control.do("clock_step", lock=first, by_s=-400 * DAY_S)
    chain.control.do("clock_drift", lock=second, ppm=90_000)
    chain.control.do("clock_loss", lock=third)
    pour(chain, 12)
    chain.wait_drained(60)
    chain.control.do("clock_step", lock=first, by_s=30 * DAY_S)
    pour(chain, 12)
    assert_ledger_is_truth(chain, at_least=24)

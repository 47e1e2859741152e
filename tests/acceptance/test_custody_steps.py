"""Whoever has custody may die at any step; nothing is lost by that and nothing counts twice."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from demo.chain import Chain
from demo.control import SimulatorGone
from demo.layout import Layout, Settings
from tests.acceptance.conftest import QUICK_SINK
from tests.acceptance.deeds import kill_at, pour, restart
from tests.acceptance.estates import small_estate
from tests.acceptance.launcher import STEPS
from tests.acceptance.ledger import export
from tests.acceptance.oracle import assert_ledger_is_truth, assert_nobody_promised_too_much
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port

SIGKILLED = -9


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for all steps: each test leaves it whole again, and the ledger grows from test to test."""
    layout = Layout(tmp_path_factory.mktemp("steps") / "chain", small_estate(), free_port)
    settings = Settings(poll_interval_s=0.1, sink=QUICK_SINK)
    with Chain(layout, settings, backlog_days=2, export=export, calendar_at=QUIET_NIGHT) as running:
        assert_ledger_is_truth(running)
        yield running


@pytest.mark.parametrize("step", STEPS)
def test_program_killed_at_a_custody_step_loses_and_doubles_nothing(chain: Chain, step: str) -> None:
    struck = kill_at(chain, step, nth=2)
    before = len(chain.truth())
    for _ in range(50):
        pour(chain, 3)
        if struck.has_ended(within_s=0.2):
            break
    assert struck.wait_ended(5) == SIGKILLED
    assert_nobody_promised_too_much(chain)
    pour(chain, 3)
    restart(struck)
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=before + 6)


@pytest.mark.parametrize("step", STEPS)
def test_broker_and_controllers_killed_at_a_custody_step_lose_and_double_nothing(
    chain: Chain, step: str
) -> None:
    victims = (chain.broker, chain.simulator)
    before = len(chain.truth())
    chain.agent.stop()  # one that saw the broker go again and again waits longer and longer before it comes back
    chain.agent.start()
    kill_at(chain, step, nth=2, victims=victims)
    for _ in range(50):
        if all(victim.has_ended(within_s=0.1) for victim in victims):
            break
        with suppress(SimulatorGone):  # it may be killed in the middle of an order
            pour(chain, 3)
    assert [victim.wait_ended(5) for victim in victims] == [SIGKILLED, SIGKILLED]
    chain.start_simulator()
    chain.start_broker()
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=before + 6)

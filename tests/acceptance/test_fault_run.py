"""A short seeded fault run with every build; `make faults N=200 SEED=…` does the long ones."""

from pathlib import Path

from demo.layout import Settings
from tests.acceptance.conftest import StartChain
from tests.acceptance.estates import small_estate
from tests.acceptance.faults import FaultRun
from tests.acceptance.plan import KINDS, draw_plan
from tests.support.waiting import wait_until

N = 12
SEED = 5
BUSES = {"tower": "tcp", "courtyard": "rtu"}


def test_short_fault_run_ends_with_ledger_equal_to_truth(tmp_path: Path) -> None:
    told: list[str] = []
    outcome = FaultRun(tmp_path / "chain", N, SEED, told.append).run()
    assert outcome.comparison.equal, "\n".join([*told, *outcome.comparison.differences()])
    assert outcome.comparison.events > 100
    assert sum(outcome.done.values()) == N


def test_a_controller_without_power_is_not_at_rest_for_it_will_tell_of_its_power_up(
    start_chain: StartChain,
) -> None:
    chain = start_chain(small_estate(), Settings(poll_interval_s=0.1))
    chain.control.do("residents", come=False)
    wait_until(chain.is_at_rest, 60, "all controllers to be at rest")
    chain.control.do("power_cut", off_s=2.0)
    assert chain.unconfirmed() == 0
    assert not chain.is_at_rest()
    wait_until(chain.is_at_rest, 60, "power, and its record confirmed")
    assert {ring["boot"] for ring in chain.rings().values()} == {2}


def test_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    locks = [lock.name for lock in small_estate().locks]
    assert draw_plan(1, 100, locks, BUSES) == draw_plan(1, 100, locks, BUSES)
    assert draw_plan(1, 100, locks, BUSES) != draw_plan(2, 100, locks, BUSES)


def test_long_plan_has_faults_of_every_kind() -> None:
    locks = [lock.name for lock in small_estate().locks]
    assert {fault.kind for fault in draw_plan(1, 200, locks, BUSES)} == set(KINDS)

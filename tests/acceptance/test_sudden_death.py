"""kill -9 at any instant, of anybody, while residents come and go: nothing is lost, nothing counts twice."""

import time
from random import Random

import pytest

from demo.chain import Chain
from tests.acceptance.conftest import StartChain
from tests.acceptance.deeds import restart, send_everybody_home
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth, assert_ledger_sees_no_fault

LIVELY = small_estate(capacity=2000, pours_per_day=200)
SPEED = 2000  # residents' seconds in one of ours: some ten pours a second at all locks together
KILLS = 5


@pytest.mark.parametrize("victim", ["edge-agent", "cloud-sink", "mosquitto", "firmware-sim"])
def test_killed_again_and_again_at_random_instants(start_chain: StartChain, victim: str) -> None:
    chain = start_chain(LIVELY, backlog_days=1, speed=SPEED)
    child = next(child for child in chain.children if child.name == victim)
    rng = Random(victim)
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.05, 1.2))  # the instant is the test
        child.kill()
        start_again(chain, victim)
    send_everybody_home(chain)
    assert_ledger_is_truth(chain, at_least=300)


def test_everything_killed_at_once_and_started_in_any_order(start_chain: StartChain) -> None:
    chain = start_chain(LIVELY, backlog_days=1, speed=SPEED)
    rng = Random(7)
    for _ in range(2):
        time.sleep(rng.uniform(0.2, 1.0))
        names = [child.name for child in chain.children]
        for child in chain.children:
            child.kill()
        for name in rng.sample(names, len(names)):
            start_again(chain, name)
    send_everybody_home(chain)
    assert_ledger_is_truth(chain, at_least=300)
    assert_ledger_sees_no_fault(chain)


def start_again(chain: Chain, name: str) -> None:
    match name:
        case "mosquitto":
            chain.start_broker()
        case "firmware-sim":
            chain.start_simulator()
        case _:
            restart(next(child for child in chain.children if child.name == name))

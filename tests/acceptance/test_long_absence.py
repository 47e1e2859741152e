"""Nobody polls for hours: every pour that was made meanwhile is in the controllers' rings, and comes from there."""

import time

from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour, send_everybody_home
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth, assert_ledger_sees_no_fault
from tests.support.waiting import wait_until

QUICK = Settings(poll_interval_s=0.1, sink=QUICK_SINK)
HOURS_IN_A_SECOND = 3600 * 3


def test_polling_stopped_for_hours_recovers_all_pours(start_chain: StartChain) -> None:
    estate = small_estate(capacity=1000, pours_per_day=60)
    chain = start_chain(estate, QUICK, backlog_days=1, speed=HOURS_IN_A_SECOND)
    chain.wait_equal(60)
    chain.agent.stop()
    waiting = chain.unconfirmed()
    stopped_at = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped_at > 4, 60, "twelve hours of the residents' lives")
    wait_until(lambda: chain.unconfirmed() > waiting + 60, 60, "pours that nobody polls")
    chain.agent.start()
    send_everybody_home(chain)
    assert_ledger_is_truth(chain, at_least=150)
    assert_ledger_sees_no_fault(chain)


def test_controller_without_room_turns_residents_away_and_loses_nothing(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(capacity=40), QUICK, backlog_days=0, leave_out=("edge-agent",))
    locks = [lock.name for lock in chain.layout.estate.locks]
    turned_away = 0
    for n in range(150):
        answer = chain.control.do("pour", lock=locks[n % 3], chamber=1, instant=True)["answer"]
        turned_away += answer == "out_of_service"
    assert turned_away > 20
    chain.agent.start()
    chain.wait_drained(60)
    pour(chain, 6)
    assert_ledger_is_truth(chain, at_least=60)


def test_lines_that_fail_in_every_way_delay_pours_but_lose_none(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK, backlog_days=2)
    faults = [
        ("courtyard", "broken_crc"), ("tower", "reset_connection"), ("courtyard", "late_reply"),
        ("tower", "late_reply"), ("courtyard", "cut_frame"), ("tower", "foreign_reply"),
        ("courtyard", "lost_reply"), ("tower", "exception_6"),
    ]  # fmt: skip
    for bus, fault in faults:
        chain.control.do("fault", bus=bus, fault=fault, for_s=0.3, delay_s=0.4)
        pour(chain, 3)
    chain.control.do("torn_record", lock=chain.layout.estate.locks[0].name, seq="newest", reads=2)
    for at in ("open", "before_discharge", "after_discharge"):
        lock = chain.layout.estate.locks[1].name
        chain.control.do("power_cut", lock=lock, at=at, off_s=0.2)
        chain.control.do("pour", lock=lock, chamber=2, instant=True)
        wait_until(lambda: all(ring["powered"] for ring in chain.rings().values()), 60, "power to be back")
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=30)
    assert_ledger_sees_no_fault(chain)

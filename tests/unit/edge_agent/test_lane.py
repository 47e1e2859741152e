"""A journal on its way: what is sent, lost, sent again. No I/O, so time and receipts can be as they like."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.lane import Lane
from edge_agent.pace import Pace


def lane_with(*sent: int, at_s: float = 0.0) -> Lane:
    lane = Lane(1, "journal", 0)
    for page in sent:
        lane.note_sent(page, at_s)
    return lane


def receipt(
    lane: Lane, through: int = 0, *held: tuple[int, int], now_s: float = 10.0, **quarantined: str
) -> bool:
    bad = {int(page[1:]): why for page, why in quarantined.items()}
    return lane.note_receipt(through, held, bad, now_s, 1.0).arrived > 0


def test_a_sent_page_is_not_sendable_until_it_is_received_or_lost() -> None:
    lane = lane_with(1)
    assert not lane.is_sendable(1)
    assert lane.is_sendable(2)
    assert receipt(lane, 1)
    assert lane.is_received(1)
    assert lane.under_way == 0


def test_a_page_that_three_later_ones_have_overtaken_is_due_again_at_once() -> None:
    lane = lane_with(1, 2, 3, 4, 5)
    receipt(lane, 1, (3, 4))
    assert lane.due(10.0) == []
    receipt(lane, 1, (3, 5))
    assert lane.due(10.0) == [2]


def test_overtaking_counts_over_several_receipts_of_one_page_each() -> None:
    lane = lane_with(1, 2, 3, 4)
    for last in (2, 3, 4):
        receipt(lane, 0, (2, last))
    assert lane.due(10.0) == [1]


def test_what_was_sent_just_now_is_given_a_moment_before_it_counts_as_lost() -> None:
    lane = lane_with(1, 2, 3, 4, at_s=9.9)
    receipt(lane, 0, (2, 4))
    assert lane.due(10.0) == []
    assert lane.due(10.5) == [1]


def test_a_page_lost_again_and_again_is_sent_more_and_more_seldom() -> None:
    lane, now_s, waits = Lane(1, "journal", 0), 0.0, []
    for round_ in range(8):
        lane.note_sent(1, now_s)
        for other in range(3):
            lane.note_sent(10 + 3 * round_ + other, now_s)
        now_s += 1
        receipt(lane, 0, (10, 12 + 3 * round_), now_s=now_s)
        due_s = now_s
        while lane.due(due_s) == []:
            due_s += 0.5
        waits.append(due_s - now_s)
        now_s = due_s
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert 30 <= waits[-1] <= 60


def test_a_timeout_makes_everything_under_way_unsent() -> None:
    lane = lane_with(1, 2, 3)
    assert lane.note_timeout() == 3
    assert all(lane.is_sendable(page) for page in (1, 2, 3))


def test_quarantined_pages_wait_long_and_do_not_fill_the_window() -> None:
    lane = lane_with(1, 2)
    receipt(lane, 0, (2, 2), _1="bad signature")
    assert lane.quarantined == {1: "bad signature"}
    assert lane.under_way == 0
    assert lane.due(39.0) == []
    assert lane.due(40.0) == [1]
    lane.note_timeout()
    assert not lane.is_sendable(1), "a time-out of others is no reason to hurry"


def test_a_refused_page_waits_and_is_hastened_when_somebody_listens_again() -> None:
    lane = lane_with(1)
    lane.note_refused(1, 0.0, 1.0)
    assert lane.due(1.0) == []
    lane.hasten(1.0)
    assert lane.due(1.0) == [1]


def test_a_received_page_that_the_ledger_asked_for_is_not_waited_for() -> None:
    lane = Lane(1, "journal", 5)
    lane.note_sent(3, 0.0)
    assert lane.under_way == 0


def test_a_watermark_that_goes_back_makes_pages_sendable_again() -> None:
    lane = Lane(1, "journal", 5)
    receipt(lane, 2)
    assert [page for page in range(1, 7) if lane.is_sendable(page)] == [3, 4, 5, 6]


@given(
    committed=st.integers(0, 20),
    held=st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 5)).map(lambda r: (r[0], r[0] + r[1])), max_size=6
    ),
    sent=st.sets(st.integers(1, 45)),
)
def test_every_page_is_received_sendable_or_under_way_and_held_ranges_are_skipped_whole(
    committed: int, held: list[tuple[int, int]], sent: set[int]
) -> None:
    lane = Lane(1, "journal", 0)
    for page in sorted(sent):
        lane.note_sent(page, 0.0)
    lane.note_receipt(committed, held, {}, 10.0, 1.0)
    truly = {page for page in range(1, 50) if page <= committed or any(a <= page <= b for a, b in held)}
    assert {page for page in range(1, 50) if lane.is_received(page)} == truly
    assert not any(lane.is_sendable(page) for page in truly)
    assert lane.under_way == len(sent - truly)
    for page in range(committed + 1, 50):
        assert all(number in truly for number in range(page, lane.end_of_held(page) + 1)) or page not in truly


def test_the_time_out_doubles_and_the_window_shrinks_and_both_recover_with_progress() -> None:
    pace = Pace(64, lambda: 1.0)
    waits, now_s = [], 0.0
    for _ in range(6):
        pace.note_sent(now_s)
        began_s = now_s
        while not pace.has_run_out(now_s):
            now_s += 1
        waits.append(now_s - began_s)
        pace.note_timeout()
        assert pace.window == 4
    assert waits == [5, 10, 20, 40, 60, 60]
    windows = []
    for _ in range(70):
        pace.note_sent(now_s)
        pace.note_receipt(now_s, arrived=1, lost=0, all_received=False)
        windows.append(pace.window)
    assert windows[:3] == [5, 6, 7]
    assert windows[-1] == 64
    assert pace.wait_s(now_s, 100.0) == 5.0


def test_losses_halve_the_window_and_it_grows_slowly_from_there() -> None:
    pace = Pace(64, lambda: 1.0)
    windows = []
    for lost in (1, 0, 0, 1, 0):
        pace.note_receipt(0.0, arrived=5, lost=lost, all_received=False)
        windows.append(pace.window)
    assert windows == [32, 33, 34, 17, 18]


def test_after_one_time_out_the_window_is_soon_half_of_what_it_was() -> None:
    pace = Pace(64, lambda: 1.0)
    pace.note_timeout()
    windows = [pace.window]
    for _ in range(5):
        pace.note_receipt(0.0, arrived=1, lost=0, all_received=True)
        windows.append(pace.window)
    assert windows == [4, 8, 16, 32, 33, 34]


def test_no_time_out_runs_while_nothing_is_under_way() -> None:
    pace = Pace(64, lambda: 1.0)
    assert not pace.has_run_out(1e9)
    pace.note_sent(0.0)
    pace.note_receipt(1.0, arrived=1, lost=0, all_received=True)
    assert not pace.has_run_out(1e9)


def test_a_new_session_shortens_the_wait_but_never_forgets_what_is_under_way() -> None:
    pace = Pace(64, lambda: 1.0)
    for _ in range(6):
        pace.note_sent(0.0)
        pace.note_timeout()
    pace.note_sent(100.0)
    pace.hasten(101.0, all_received=False)
    assert not pace.has_run_out(105.9)
    assert pace.has_run_out(106.0)

"""Whoever waits for receipts goes on waiting, with a deadline, when the session or the sink begins anew."""

from edge_agent.pace import Pace


def test_pages_under_way_when_a_session_begins_run_out_of_time_though_no_other_page_is_sent() -> None:
    pace = Pace(64, lambda: 1.0)
    pace.note_sent(0.0)
    pace.hasten(3.0, all_received=False)
    assert not pace.has_run_out(7.9)
    assert pace.has_run_out(8.0)


def test_nothing_runs_out_when_a_session_begins_and_nothing_is_under_way() -> None:
    pace = Pace(64, lambda: 1.0)
    pace.note_sent(0.0)
    pace.hasten(3.0, all_received=True)
    assert not pace.has_run_out(1000.0)

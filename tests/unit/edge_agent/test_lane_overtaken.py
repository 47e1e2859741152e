"""A page that later ones overtook is sent again soon, also where those arrive one by one."""

from edge_agent.lane import Lane

JOURNAL = "00000000-0000-4000-8000-000000000001"


def test_page_is_sent_again_once_three_later_ones_arrived_each_with_a_receipt_of_its_own() -> None:
    lane = Lane(1, JOURNAL, 0)
    for page in (1, 2, 3, 4):
        lane.note_sent(page, 0.0)
    for n, page in enumerate((2, 3), 1):
        lane.note_receipt(0, [(2, page)], {}, float(n), 1.0)
        assert lane.due(float(n)) == []
    lane.note_receipt(0, [(2, 4)], {}, 3.0, 1.0)
    assert lane.due(3.0) == [1]


def test_page_sent_again_is_not_overtaken_by_those_that_were_sent_before_it() -> None:
    lane = Lane(1, JOURNAL, 0)
    for page in (1, 2, 3, 4):
        lane.note_sent(page, 0.0)
    lane.note_receipt(0, [(2, 4)], {}, 1.0, 1.0)
    lane.note_sent(1, 1.0)
    lane.note_receipt(0, [(2, 4)], {}, 2.0, 1.0)
    assert lane.due(2.0) == []

"""Receipts and resend requests: what gateways are told, and when."""

from itertools import pairwise
from random import Random

from cloud_sink.checking import JournalKey, Message, Reason, Rejected
from cloud_sink.ledger.journals import Standing
from cloud_sink.receipts import receipts, resend_request
from cloud_sink.resending import Resending
from tests.support.fake_gateway import START
from wastelock.messages import Receipt, ResendRequest

KEY = JournalKey("estate-1", "gw-0001", "00000000-0000-4000-8000-000000000001")


def rejected(page: int, reason: Reason = Reason.BAD_SIGNATURE, key: JournalKey | None = KEY) -> Rejected:
    return Rejected(Message("topic", b"", None, None, START), reason, "", key, page)


def only_receipt(standing: Standing, *refused: Rejected) -> Receipt:
    [(_, receipt)] = receipts([standing], refused, START)
    return receipt


def test_a_receipt_tells_watermark_head_and_what_is_held() -> None:
    receipt = only_receipt(Standing(KEY, 3, "h" * 43, 9, ((5, 6), (9, 9))))
    assert (receipt.committed_through, receipt.head, receipt.held) == (3, "h" * 43, ((5, 6), (9, 9)))
    assert Receipt.model_validate_json(receipt.to_json()) == receipt


def test_nothing_committed_has_no_head() -> None:
    assert only_receipt(Standing(KEY, 0, "", 4, ((4, 4),))).head is None


def test_breaks_and_disputes_are_listed_under_their_names() -> None:
    receipt = only_receipt(Standing(KEY, 3, "h", 5, ((4, 5),), ((4, "chain"), (2, "page"))))
    assert receipt.quarantined == ((2, "dispute"), (4, "chain break"))


def test_a_forged_copy_of_a_page_that_is_here_alarms_nobody() -> None:
    standing = Standing(KEY, 3, "h", 5, ((5, 5),))
    receipt = only_receipt(standing, rejected(2), rejected(5), rejected(4), rejected(9))
    assert receipt.quarantined == ((4, "bad signature"), (9, "bad signature"))


def test_a_journal_of_which_nothing_was_taken_gets_its_answer_too() -> None:
    [(standing, receipt)] = receipts([], [rejected(1, Reason.UNKNOWN_KEY), rejected(2, key=None)], START)
    assert (receipt.committed_through, receipt.quarantined) == (0, ((1, "unknown key"),))
    assert not standing.is_latest, "nothing of it may be retained in place of a true receipt"


def test_bounds_of_receipts_hold() -> None:
    held = tuple((2 * n, 2 * n) for n in range(1, 1001))
    receipt = only_receipt(Standing(KEY, 0, "", 2000, held), *[rejected(n) for n in range(3000, 3300)])
    assert len(receipt.quarantined) == 100
    assert len(receipt.held) == 1000


def standing(*held: tuple[int, int], through: int = 0) -> Standing:
    return Standing(KEY, through, "", held[-1][1] if held else through, held)


def waiting() -> Resending:
    return Resending(first_after_s=10, at_most_every_s=60, random=Random(1))


def test_missing_pages_are_asked_for_only_after_a_while_without_progress() -> None:
    resending = waiting()
    resending.note([standing((5, 9))], 0)
    assert resending.due(5) == []
    resending.note([standing((3, 9))], 9)
    assert resending.due(14) == [], "it moves by itself"
    assert resending.due(22) == [(KEY, [(1, 2)])]


def test_asking_again_takes_longer_each_time_and_ends_with_the_last_page() -> None:
    resending = waiting()
    resending.note([standing((5, 9))], 0)
    asked = [second for second in range(0, 400) if resending.due(second)]
    waits = [b - a for a, b in pairwise(asked)]
    assert 7 <= asked[0] <= 13
    assert waits == sorted(waits) or max(waits) <= 75
    assert all(45 <= wait <= 76 for wait in waits[3:])
    resending.note([standing(through=9)], 401)
    assert resending.due(10_000) == []


def test_a_request_names_at_most_a_thousand_ranges() -> None:
    missing = [(2 * n, 2 * n) for n in range(1, 1500)]
    request = resend_request(KEY, missing)
    assert ResendRequest.model_validate_json(request.to_json()) == request
    assert len(request.pages) == 1000

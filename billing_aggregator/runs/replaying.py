"""Replay: a revision is calculated again from its pins and compared byte for byte with what is kept."""

from dataclasses import dataclass

from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import decode, digest, encode
from billing_aggregator.runs.gathering import recount
from billing_aggregator.runs.preview import describe_differences
from billing_aggregator.runs.records import RunRecord


@dataclass(frozen=True, slots=True)
class Replay:
    """`identical`: the same bytes. `differences`: where not, `path: kept -> calculated now`."""

    run: str
    identical: bool
    kept_sha256: str
    replayed_sha256: str
    differences: tuple[str, ...]


def replay(books: Books, run: RunRecord) -> Replay:
    """Calculate a run again from single entries up to its position, and everything else as it was known then."""
    kept = books.store.document(run)
    document = decode(kept)
    again = recount(books, document)
    replayed = encode(again)
    differences = () if replayed == kept else tuple(describe_differences(document, again))
    return Replay(str(run), replayed == kept, digest(kept), digest(replayed), differences)

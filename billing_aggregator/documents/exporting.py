"""Everything of a revision as CSV and JSON, so that anybody can recompute it with a program of their own.

    revision.json       the revision's own canonical bytes: their SHA-256 is the one printed on each statement
    rows.csv            per row and fraction: ml metered, substituted, minimum, billed; cents of base and usage
    pools.csv           per row and pool: weight, sum of weights, exact share as a fraction, cents
    balances.csv        per row: base, usage, cap, charged, advances, balance
    costs.csv  registers.csv  substitutes.csv  reviews.csv
    pours.csv           each billed pour with local time and offset; no transponder's number
    recompute_run.py    a program that recomputes revision.json and shares no line with this one

UTF-8, comma, one header line, `.` nowhere: money is whole cents, volume whole millilitres. No names.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from billing_aggregator.documents import recompute_run
from billing_aggregator.model import OwnPour
from billing_aggregator.runs.document import RevisionDocument, encode, pools_of

Cell = str | int
_CREDENTIAL_DIGITS = 6
_COLUMNS = {
    "rows": "row fraction metered_ml substitute_ml minimum_ml billed_ml base_cents usage_cents",
    "pools": "pool key row weight all_weights total_cents exact_cents cents",
    "balances": "row base_cents usage_cents cap_cents charged_cents advances_cents balance_cents",
    "costs": "item fraction description gross_cents document document_sha256 apportionable",
    "registers": "lock chamber epoch first_seq last_seq register_start register_end pours lost buffered unexplained",
    "substitutes": "row fraction lock chamber volume_ml estimate_ml method sources",
    "reviews": "review kind at lock chamber pours volume_ml choice reason actor decided_at detail",
    "pours": "row at lock chamber fraction volume_ml epoch seq credential clock uncertainty_s degraded jams",
}


def export_revision(
    document: RevisionDocument, pours: Mapping[str, tuple[OwnPour, ...]], directory: Path
) -> list[Path]:
    """Write all files into a directory, which is made, and return their paths. `pours`: each row's own."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in list_files(document, pours).items():
        path = directory / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def list_files(document: RevisionDocument, pours: Mapping[str, tuple[OwnPour, ...]]) -> dict[str, bytes]:
    """Return all files by name."""
    contents = {"revision.json": encode(document)}
    contents |= {f"{name}.csv": text.encode() for name, text in list_tables(document, pours).items()}
    contents["recompute_run.py"] = Path(recompute_run.__file__).read_bytes()
    return contents


def list_tables(document: RevisionDocument, pours: Mapping[str, tuple[OwnPour, ...]]) -> dict[str, str]:
    """Return each table as CSV text, by name."""
    lines: dict[str, Iterable[Sequence[Cell]]] = {
        "rows": _rows(document),
        "pools": _pools(document),
        "balances": _balances(document),
        "costs": _costs(document),
        "registers": _registers(document),
        "substitutes": _substitutes(document),
        "reviews": _reviews(document),
        "pours": _pours(pours),
    }
    return {name: _csv(columns.split(), lines[name]) for name, columns in _COLUMNS.items()}


def _csv(head: Sequence[str], lines: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue()


def _rows(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for part in document.fractions:
        base = {share.row: share.allocated_cents for share in part.base.shares}
        usage = {share.row: share.allocated_cents for share in part.usage.shares}
        for each in part.volumes:
            yield (
                each.row,
                part.fraction,
                each.metered_ml,
                each.substitute_ml,
                each.minimum_ml,
                each.billed_ml,
                base.get(each.row, 0),
                usage.get(each.row, 0),
            )


def _pools(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for name, pool in pools_of(document).items():
        weights = sum(share.weight for share in pool.shares)
        for share in pool.shares:
            exact = f"{share.exact.numerator}/{share.exact.denominator}"
            yield (
                name,
                pool.key,
                share.row,
                share.weight,
                weights,
                pool.total_cents,
                exact,
                share.allocated_cents,
            )


def _balances(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for each in document.balances:
        yield (
            each.row,
            each.base_cents,
            each.usage_cents,
            each.cap_cents,
            each.charged_cents,
            each.advances_cents,
            each.balance_cents,
        )


def _costs(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for each in document.costs:
        yield (
            each.item,
            each.fraction,
            each.description,
            each.gross_cents,
            each.document,
            each.document_sha256,
            "yes" if each.apportionable else "no",
        )


def _registers(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for run in document.usage.registers:
        yield (
            run.lock,
            run.chamber,
            run.epoch,
            run.first_seq,
            run.last_seq,
            run.register_start,
            run.register_end,
            run.pours,
            run.lost,
            run.buffered,
            run.unexplained,
        )


def _substitutes(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    for each in document.substitutes:
        estimate = f"{each.estimate.numerator}/{each.estimate.denominator}"
        sources = " ".join(each.sources)
        yield (
            each.row,
            each.fraction,
            each.lock,
            each.chamber,
            each.volume_ml,
            estimate,
            each.method,
            sources,
        )


def _reviews(document: RevisionDocument) -> Iterator[Sequence[Cell]]:
    decided = {decision.review: decision for decision in document.decisions}
    for each in document.reviews:
        decision = decided.get(each.review) or decided.get(each.group)
        yield (
            each.review,
            each.kind,
            each.at.isoformat() if each.at else "",
            each.lock or "",
            "" if each.chamber is None else each.chamber,
            each.pours,
            each.volume_ml,
            *(
                (decision.choice, decision.reason, decision.actor, decision.decided_at.isoformat())
                if decision
                else ("", "", "", "")
            ),
            each.detail,
        )


def _pours(pours: Mapping[str, tuple[OwnPour, ...]]) -> Iterator[Sequence[Cell]]:
    for row in sorted(pours):
        for each in pours[row]:
            yield (
                each.row,
                each.at.isoformat(),
                each.lock,
                each.chamber,
                each.fraction,
                each.volume_ml,
                each.epoch,
                each.seq,
                each.credential[:_CREDENTIAL_DIGITS],
                each.clock,
                each.uncertainty_s,
                "yes" if each.degraded else "no",
                " ".join(jam.isoformat() for jam in each.jams),
            )

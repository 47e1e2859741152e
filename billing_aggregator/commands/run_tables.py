"""How runs look: tables for people, JSON for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from billing_aggregator.amounts import format_cents, format_litres
from billing_aggregator.commands.terminal import PROGRAM, print_json, print_table, progress, say
from billing_aggregator.runs.automatic import Advanced
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.deadlines import deadlines_of
from billing_aggregator.runs.document import RevisionDocument, decode, open_reviews
from billing_aggregator.runs.preview import Move
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.replaying import Replay
from billing_aggregator.runs.revising import propose
from billing_aggregator.runs.showing import RowView, RunView
from billing_aggregator.runs.states import FINAL_STATES


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list. `proposed`: why a revision is due, empty if none is or nobody asked."""

    run: str
    state: str
    superseded_by: int | None
    claim_until: date
    alarms: tuple[str, ...]
    proposed: tuple[str, ...]


def line_of(books: Books, run: RunRecord, late: bool) -> RunLine:
    """Return a run's line; `late`: also look whether a revision is due, which counts the ledger again."""
    deadlines = deadlines_of(books, run)
    proposal = None
    if late and run.state in FINAL_STATES and run.superseded_by is None:
        proposal = propose(books, decode(books.store.document(run)))
    return RunLine(
        str(run),
        run.state,
        run.superseded_by,
        deadlines.claim_until,
        deadlines.alarms,
        proposal.reasons if proposal else (),
    )


def print_lines(lines: Sequence[RunLine], as_json: bool) -> None:
    if as_json:
        print_json(lines)
        return
    rows = [
        (
            line.run,
            line.state if line.superseded_by is None else f"{line.state} by {line.superseded_by}",
            line.claim_until,
            "; ".join([*line.alarms, *(f"REVISION DUE: {reason}" for reason in line.proposed)]),
        )
        for line in lines
    ]
    print_table("Runs", ("run", "state", "claims until", "alarms"), rows)


def print_step(run: RunRecord, as_json: bool, what: str = "") -> None:
    """Print where a run is after a step. `what`: what is to be told of it, if the state doesn't."""
    if as_json:
        print_json({"run": str(run), "state": run.state, "since": run.since})
    else:
        say(f"run {run} is {what or run.state} now")


def print_run(view: RunView, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    by = "" if view.superseded_by is None else f" by revision {view.superseded_by}"
    say(f"run {view.run}: {view.state}{by}, sha256 {view.sha256 or '-'}")
    if view.document is not None:
        rows = [_row(row) for row in view.rows]
        advances = sum(row.advances_cents for row in view.rows)
        balance = view.charged_cents - advances
        sums = (format_cents(cents) for cents in (view.charged_cents, advances, balance))
        total = ("Σ", "", "", *sums)
        print_table(
            f"{view.property} {view.period_first}, total {format_cents(view.total_cents)}",
            ("row", "billed l", "base + usage", "charged", "advances", "balance"),
            [*rows, total],
            "lrrrrr",
        )
    elif view.state == "open":
        say(
            f"the period runs until {view.period_end}: nothing is calculated yet; `provisional` shows how it stands"
        )
    for alarm in view.alarms:
        say(f"ALARM: {alarm}")
    for obstacle in view.obstacles:
        say(f"- {obstacle}")


def _row(row: RowView) -> tuple[str, ...]:
    billed = " + ".join(format_litres(part.billed_ml) for part in row.fractions)
    shares = f"{format_cents(row.base_cents)} + {format_cents(row.usage_cents)}"
    return (
        row.row,
        billed,
        shares,
        format_cents(row.charged_cents),
        format_cents(row.advances_cents),
        format_cents(row.balance_cents),
    )


def print_reviews(document: RevisionDocument, as_json: bool) -> None:
    """Print the reviews that are open, with their choices."""
    waiting = open_reviews(document)
    if as_json:
        print_json(waiting)
    elif not waiting:
        say("nothing waits for a decision")
    else:
        # One below the other, each name on a line of its own: it has to be typed, or copied, into the decision.
        for each in waiting:
            say(f"{each.review}\n    {each.detail}")
            if each.group:
                say(f"    all of this cause: {each.group}")
            say(f"    choices: {', '.join(each.choices)} (until then: {each.nominal})")
        say(f"{len(waiting)} wait for a decision: `{PROGRAM} run decide RUN REVIEW CHOICE --reason TEXT`")


def print_moves(revised: RunRecord | None, moves: Sequence[Move], as_json: bool) -> None:
    """Print who moves in a revision; `revised`: its run, None for a preview."""
    if as_json:
        print_json({"run": None if revised is None else str(revised), "moves": moves})
        return
    say("preview only" if revised is None else f"run {revised} is {revised.state} now")
    if not moves:
        say("nobody moves")
        return
    rows = [
        (
            move.row,
            format_cents(move.charged_before),
            format_cents(move.charged_after),
            format_cents(move.moved),
            ", ".join(move.causes),
        )
        for move in moves
    ]
    print_table("Who moves", ("row", "charged before", "after", "balance moves", "why"), rows, "lrrrl")


def print_replay(result: Replay, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    say(f"kept      {result.kept_sha256}\nreplayed  {result.replayed_sha256}")
    say(f"run {result.run}: " + ("identical, byte for byte" if result.identical else "DIFFERENT"))
    for difference in result.differences:
        say(f"- {difference}")


def print_results(results: Iterable[Sequence[Advanced]], total: int, as_json: bool) -> None:
    """Print how far each period got, as the properties come; a sum of states at the end."""
    with progress("properties", total) as bar:
        count: dict[str, int] = {}
        for advanced in results:
            for each in advanced:
                state = each.state or "none"
                count[state] = count.get(state, 0) + 1
                _print_advanced(each, as_json)
            bar.advance(bar.task_ids[0])
    if not as_json:
        say(", ".join(f"{number} {state}" for state, number in sorted(count.items())) or "nothing is due")


def _print_advanced(each: Advanced, as_json: bool) -> None:
    """One line each, as JSON lines for programs: a run over thousands of properties isn't held in memory."""
    if as_json:
        print_json(each)
        return
    say(f"{each.run}: {each.state or 'not begun'}")
    for obstacle in each.obstacles:
        say(f"  - {obstacle}")

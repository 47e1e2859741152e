"""What must hold after every fault, judged without asking those who were struck.

Three witnesses: the truth that the controllers wrote down record by record, the cycle registers that they keep, and
the ledger's own export. What the ledger finds of itself (reconciliation, gaps, disputes) is asked, too, but nothing
rests on that alone.
"""

import json
from collections import Counter
from typing import Any

from demo.chain import Chain
from demo.compare import Comparison, Line, charged_ml
from tests.acceptance.ledger import journals, open_ledger
from wastelock.record import Kind, PourResult


def assert_ledger_is_truth(chain: Chain, timeout_s: float = 60.0, at_least: int = 1) -> Comparison:
    """Wait until the ledger holds exactly what the controllers recorded, then check all sums. Nobody may pour now."""
    comparison = chain.wait_equal(timeout_s)
    assert comparison.events >= at_least, f"only {comparison.events} events: expected {at_least}"
    assert_registers_agree(chain.rings(), chain.ledger(), chain.layout.estate.locks[0].chambers_ml)
    return comparison


def assert_registers_agree(
    rings: dict[str, dict[str, Any]], entries: list[Line], chambers_ml: tuple[int, ...]
) -> None:
    """Σ controller = Σ ledger: each chamber's register counts exactly its complete pours in the ledger, from 0."""
    counted: Counter[tuple[str, int]] = Counter()
    charged: Counter[str] = Counter()
    for line in entries:
        charged[str(line["lock"])] += charged_ml(line)
        if line["kind"] == Kind.POUR and line["result"] == PourResult.COMPLETE:
            counted[str(line["lock"]), int(line["chamber"])] += 1
    for lock, ring in rings.items():
        registers = ring["registers"]
        assert [counted[lock, n] for n in range(1, len(registers) + 1)] == registers, f"lock {lock}"
        assert charged[lock] == sum(n * ml for n, ml in zip(registers, chambers_ml, strict=True)), (
            f"lock {lock}"
        )


def assert_ledger_sees_no_fault(chain: Chain) -> None:
    """Check what the ledger itself finds: every run of every register proven, no gap, no contradiction."""
    with open_ledger(chain) as reader:
        runs = list(reader.runs())
        assert runs, "nothing was reconciled"
        assert [run for run in runs if run.verdict != "proven"] == []
        assert (reader.record_gaps(), reader.page_gaps(), list(reader.disputes())) == ([], [], [])


def assert_nobody_promised_too_much(chain: Chain) -> None:
    """Check, at any instant, that what was confirmed upstream is on the disk of whoever confirmed it.

    Each side is asked before the one behind it: what those hold only grows.
    """
    rings = chain.rings()
    gateway = json.loads(chain.ask_agent("status", "--json"))
    spooled = {lock["lock"]: (lock["epoch"], lock["spooled_seq"]) for lock in gateway["locks"]}
    for lock, ring in rings.items():
        if ring["confirmed"]:
            assert spooled[lock] >= (ring["epoch"], ring["confirmed"]), f"lock {lock}: confirmed, not on disk"
    ledger = journals(chain)
    for journal in gateway["journals"]:
        known = ledger.get(journal["journal"], ("", 0))[1]
        assert journal["committed_through"] <= known, "receipted, not in the ledger"

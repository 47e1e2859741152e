"""What came of a day, and how it is told."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from demo.compare import Comparison
from demo.report import print_comparison
from tests.acceptance.day_certificates import Renewals
from tests.acceptance.memory import Sample, Verdict, at_quarters


@dataclass(frozen=True, slots=True)
class Outcome:
    """`shortcomings` is empty if all that must hold does. `memory`: what was judged, or would be of a longer day."""

    comparison: Comparison
    deeds: Counter[str]
    refused: Counter[str]
    starts: Counter[str]
    ended: Counter[tuple[str, int]]
    alarms: Counter[str]
    twin_alarms: Counter[str]
    versions: Mapping[str, int]
    in_force_after_s: list[float]
    commands: Counter[str]
    renewals: Renewals
    memory: Mapping[str, list[Sample]]
    verdicts: list[Verdict]
    shortcomings: list[str]

    def memory_lines(self) -> dict[str, list[dict[str, float]]]:
        """Return all samples as plain values."""
        return {name: [asdict(sample) for sample in life] for name, life in self.memory.items()}


def alarms_of(log: Path) -> Counter[str]:
    """Return how often each alarm was raised, by the agent's log."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if '"event": "alarm"' in line)
    return Counter(str(line["alarm"]) for line in lines)


def tell(outcome: Outcome, console: Console) -> None:
    """Print what happened and what came of it."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    counted: list[tuple[str, Counter[str]]] = [
        ("deeds", outcome.deeds),
        ("not possible at their moment", outcome.refused),
        ("programs started again", outcome.starts),
        ("programs that ended by themselves", Counter({f"{k[0]} with {k[1]}": n for k, n in outcome.ended.items()})),
        ("alarms at the gateway", outcome.alarms),
        ("alarms of the twins", outcome.twin_alarms),
        ("commands", outcome.commands),
    ]  # fmt: skip
    for title, counts in counted:
        listed = ", ".join(f"{key} {count}" for key, count in sorted(counts.items()))
        say(f"{title}: {counts.total()}" + (f" ({listed})" if listed else ""))
    took = sorted(outcome.in_force_after_s)
    if took:
        say(f"access lists in force after {median(took):.1f} s (median) to {took[-1]:.1f} s; "
            f"versions: {dict(outcome.versions)}")  # fmt: skip
    renewals = outcome.renewals
    say(f"certificates: {renewals.certificates}, each valid beside its successor for "
        f"{', '.join(f'{overlap.total_seconds():,.0f} s' for overlap in renewals.overlaps)}; "
        f"pages by signing key: {dict(renewals.pages)}")  # fmt: skip
    for name, life in outcome.memory.items():
        points = ", ".join(
            f"{s.at_h:.1f} h {s.pss_mib:.1f}/{s.rss_mib:.1f}/{s.own_mib:.1f}" for s in at_quarters(life)
        )
        say(f"{name}: PSS/RSS/own in MiB: {points}")
    for verdict in outcome.verdicts:
        say(str(verdict))
    print_comparison(outcome.comparison, console)
    for each in outcome.shortcomings:
        say(f"NOT GOOD: {each}")

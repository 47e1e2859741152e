"""What the doctor says: one finding for each thing that was looked at, with its figures and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """TROUBLE: it doesn't work, or soon won't. NOTICE: worth knowing, or it couldn't be looked at. GOOD: looked at."""

    TROUBLE = "trouble"
    NOTICE = "notice"
    GOOD = "good"


class Sure(StrEnum):
    """How much the figures prove. CERTAIN: nothing else looks like that; POSSIBLE: the first thing to try."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Finding:
    """`area`: what was looked at, e.g. `bus yard`; `name`: of the verdict, for machines. `evidence`: its figures."""

    area: str
    name: str
    level: Level
    what: str
    evidence: str = ""
    remedy: str = ""
    sure: Sure = Sure.CERTAIN


def trouble(
    area: str, name: str, what: str, evidence: str, remedy: str, sure: Sure = Sure.CERTAIN
) -> Finding:
    return Finding(area, name, Level.TROUBLE, what, evidence, remedy, sure)


def notice(area: str, name: str, what: str, evidence: str = "", remedy: str = "") -> Finding:
    return Finding(area, name, Level.NOTICE, what, evidence, remedy)


def good(area: str, what: str, evidence: str = "") -> Finding:
    return Finding(area, "good", Level.GOOD, what, evidence)


def has_trouble(findings: Iterable[Finding]) -> bool:
    return any(finding.level is Level.TROUBLE for finding in findings)

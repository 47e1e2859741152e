"""Sets of numbers as ascending, disjoint, inclusive ranges: which pages of a journal, which records of a lock.

Pure arithmetic. A range `(first, last)` stands for all numbers from first to last; two ranges of a set never touch
(1..3 and 4..6 are one range, 1..6), so the ranges of a set are as few as can be.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def from_numbers(numbers: Iterable[int]) -> list[Span]:
    """Return the ranges of these numbers, in whatever order and however often they come."""
    ordered = sorted(set(numbers))
    if ordered and ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]  # the usual case, a hundred times a page
    spans: list[Span] = []
    for number in ordered:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the ranges of everything that lies in any of these."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def missing(spans: Sequence[Span], first: int, last: int) -> list[Span]:
    """Return the ranges of first..last that no range of the (ascending) set covers."""
    gaps: list[Span] = []
    wanted = first
    for start, end in spans:
        if end < wanted:
            continue
        if start > last:
            break
        if start > wanted:
            gaps.append((wanted, start - 1))
        wanted = end + 1
    if wanted <= last:
        gaps.append((wanted, last))
    return gaps


def contains(spans: Sequence[Span], number: int) -> bool:
    """True if one of the (ascending) ranges holds the number."""
    index = bisect_right(spans, number, key=lambda span: span[0]) - 1
    return index >= 0 and spans[index][1] >= number


def cut(span: Span, at: int) -> list[tuple[Span, bool]]:
    """Return the parts of a range below `at` (False) and from `at` on (True); those that are empty are left out."""
    first, last = span
    parts = [((first, min(last, at - 1)), False), ((max(first, at), last), True)]
    return [(part, from_there) for part, from_there in parts if part[0] <= part[1]]


def beyond(spans: Iterable[Span], number: int) -> list[Span]:
    """Return the parts of the ranges that lie above `number`."""
    return [(max(first, number + 1), last) for first, last in spans if last > number]


def size(spans: Iterable[Span]) -> int:
    """Return how many numbers the ranges hold."""
    return sum(last - first + 1 for first, last in spans)

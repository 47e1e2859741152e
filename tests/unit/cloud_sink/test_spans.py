"""Ranges of numbers behave like the sets that they stand for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink import spans

NUMBERS = st.sets(st.integers(1, 60))


def numbers_of(ranges: list[spans.Span]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def is_canonical(ranges: list[spans.Span]) -> bool:
    return all(a[1] + 1 < b[0] for a, b in pairwise(ranges)) and all(a <= b for a, b in ranges)


@given(NUMBERS, NUMBERS)
def test_union_is_that_of_the_sets(one: set[int], other: set[int]) -> None:
    joined = spans.union([*spans.from_numbers(one), *spans.from_numbers(other)])
    assert numbers_of(joined) == one | other
    assert is_canonical(joined)
    assert joined == spans.from_numbers(one | other)


@given(NUMBERS, st.integers(1, 30), st.integers(0, 40))
def test_missing_is_the_complement(here: set[int], first: int, more: int) -> None:
    last = first + more
    gaps = spans.missing(spans.from_numbers(here), first, last)
    assert numbers_of(gaps) == set(range(first, last + 1)) - here
    assert is_canonical(gaps)
    assert spans.size(gaps) == len(numbers_of(gaps))


@given(NUMBERS, st.integers(0, 61))
def test_beyond_and_contains_and_cut(here: set[int], number: int) -> None:
    ranges = spans.from_numbers(here)
    assert numbers_of(spans.beyond(ranges, number)) == {n for n in here if n > number}
    assert spans.contains(ranges, number) == (number in here)
    for span in ranges:
        parts = spans.cut(span, number)
        assert numbers_of([part for part, _ in parts]) == numbers_of([span])
        assert all((part[0] >= number) == there and (part[1] >= number) == there for part, there in parts)

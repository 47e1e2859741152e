"""Lists that go on from a cursor: what one page of them holds, and where the next one begins."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from portal.errors import Invalid

T = TypeVar("T")
LARGEST = 2**63 - 1  # number that a database can look for


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(
        default=None, description="give it as the cursor to get what follows; null at the end"
    )


def cut(items: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """Return a page of items of which one more than `limit` was asked for: so its end is known."""
    shown = list(items[:limit])
    return Page(items=shown, next=cursor_of(shown[-1]) if len(items) > limit else None)


def numbers_of(cursor: str, count: int) -> tuple[int, ...]:
    """Return the whole numbers that a cursor such as `7-905-0` is made of; Invalid if it isn't one of ours."""
    parts = cursor.split("-")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Invalid("error.cursor")
    return tuple(int(part) for part in parts)

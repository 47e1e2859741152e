"""Instants in the ledger: UTC, milliseconds since 1970, as integers."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(at: datetime) -> int:
    """Return an instant (any time zone, but one) as the ledger keeps it."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the instant, in UTC."""
    return _EPOCH + timedelta(milliseconds=ms)

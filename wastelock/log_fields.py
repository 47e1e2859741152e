"""What may stand in a log line: pure functions that the programs' logs are put together from.

A transponder's number, a record's bytes or a secret never get into a log, whoever hands them to it by mistake.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

FORMATS = ("auto", "json", "logfmt")
ORDER = ("timestamp", "level", "event")
WITHHELD = "(withheld)"

# By name, since a transponder's number is a number like any other.
_NEVER = frozenset(
    {
        *("uid", "uids", "credential", "transponder", "raw", "record", "payload", "page_bytes"),
        "exc_info",  # where nobody has made a traceback of it: an unforeseen error's text may hold anything
        *("password", "token", "key", "secret", "signature", "sig", "authorization", "cookie"),
    }
)
_TEXT_MAX = 2000


def chosen_format(wanted: str, is_terminal: bool) -> str:
    """Return `json` or `logfmt`: for `auto` what people read on a terminal, else what machines read."""
    if wanted != "auto":
        return wanted
    return "logfmt" if is_terminal else "json"


def withhold(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: replace what must not be told, shorten what is too long to be read."""
    for name, value in event.items():
        if name in _NEVER or isinstance(value, bytes | bytearray | memoryview):
            event[name] = WITHHELD
        elif isinstance(value, str) and len(value) > _TEXT_MAX and name != "exception":
            event[name] = f"{value[:_TEXT_MAX]}… ({len(value)} characters)"
    return event


def first_fields_first(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: instant, level and event stand at the beginning of a line."""
    return {**{name: event[name] for name in ORDER if name in event}, **event}

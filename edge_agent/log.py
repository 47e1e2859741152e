"""Log lines to stderr, one per event: `key=value` on a terminal, JSON for systemd's journal and other machines.

Never a transponder's number, and no record's bytes: wastelock/log_fields.py withholds what is named like one.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from wastelock.log_fields import ORDER, chosen_format, first_fields_first, withhold

_is_quiet = threading.Event()


def configure_log(level: int = logging.INFO, log_format: str = "auto") -> None:
    """Set up structlog for the whole process. `log_format`: `json`, `logfmt`, or `auto` (what stderr is decides)."""
    structlog.configure(
        processors=[
            _leave_out,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            withhold,
            *_renderers(chosen_format(log_format, sys.stderr.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def keep_quiet(quiet: bool) -> None:
    """Leave out lines that are only informative, or write them again: the disk that keeps them has no room for them."""
    if quiet:
        _is_quiet.set()
    else:
        _is_quiet.clear()


def _leave_out(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    if _is_quiet.is_set() and method in ("debug", "info"):
        raise structlog.DropEvent
    return event


def _renderers(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [first_fields_first, structlog.processors.JSONRenderer(_to_json)]
    return [structlog.processors.LogfmtRenderer(key_order=list(ORDER), bool_as_flag=False)]


def _to_json(event: dict[str, object], **_options: object) -> str:
    return json.dumps(event, ensure_ascii=False, default=str)

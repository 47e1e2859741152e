"""Log lines to stderr, one per event: `key=value` on a terminal, JSON for systemd's journal and other machines.

wastelock/log_fields.py withholds what is named like a secret. What uvicorn has to say, from warnings up, comes in the
same lines.
"""

import json
import logging
import sys

import structlog

from wastelock.log_fields import ORDER, chosen_format, first_fields_first, withhold


def configure_log(level: int = logging.INFO, log_format: str = "auto") -> None:
    """Set up structlog for the whole process. `log_format`: `json`, `logfmt`, or `auto` (what stderr is decides)."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            withhold,
            *_renderers(chosen_format(log_format, sys.stderr.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_stderr_as_it_is,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Relay()], force=True)


def _stderr_as_it_is(*_name: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


class _Relay(logging.Handler):
    """Hands on what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info
        )


def _renderers(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [first_fields_first, structlog.processors.JSONRenderer(_to_json)]
    return [structlog.processors.LogfmtRenderer(key_order=list(ORDER), bool_as_flag=False)]


def _to_json(event: dict[str, object], **_options: object) -> str:
    return json.dumps(event, ensure_ascii=False, default=str)

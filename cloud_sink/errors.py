"""Errors of the cloud sink, named by what to do next. Only an entry point catches SinkError."""

from collections.abc import Sequence

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: a restart won't help, systemd must not try
EXIT_SOFTWARE = 70  # sysexits.h EX_SOFTWARE: a thread died; a restart may help, and the broker sends again


class SinkError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(SinkError):
    """The configuration can't work: each problem names file, key or line, and remedy. A restart won't help."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class LedgerUnavailable(SinkError):
    """The database can't be reached or can't write now. Keep the pages, acknowledge nothing, try again later."""


class LedgerRefused(SinkError):
    """The database is well but doesn't take these values. Trying again won't help: find the page, quarantine it."""


class ThreadDied(SinkError):
    """A thread that the sink can't do without has ended. Stop the process; nothing unacknowledged is lost."""

"""Errors of the cloud sink, named by what to do next. Only an entry point catches SinkError."""

from collections.abc import Sequence

EXIT_REFUSED = 1  # an illegal step, or nothing by that name
EXIT_REJECTED = 65  # sysexits.h EX_DATAERR: correct the input
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: a restart won't help, systemd must not try
EXIT_SOFTWARE = 70  # sysexits.h EX_SOFTWARE: a thread died; a restart may help, and the broker sends again


class SinkError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(SinkError):
    """The configuration can't work: each problem names file, key or line, and remedy. A restart won't help."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class InputRejected(SinkError):
    """What was given isn't right: each problem names its place and what is expected. Nothing of it was taken."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class NotPossible(SinkError):
    """The step isn't possible from here; the message says which are. Nothing was changed."""


class Unavailable(SinkError):
    """Something that this program needs is away. Keep what is at hand, try the same again later."""


class LedgerUnavailable(Unavailable):
    """The database can't be reached or can't write now. Keep the pages, acknowledge nothing, try again later."""


class BrokerUnavailable(Unavailable):
    """The broker can't be reached or doesn't take an event. Go on numbering pours, publish them later."""


class TimeSeriesUnavailable(Unavailable):
    """The time series server can't be reached or doesn't take points. The cursor stays; write the same again later."""


class RegisterUnavailable(Unavailable):
    """The authority's register can't be written now. Nothing was decided; ask again."""


class LedgerRefused(SinkError):
    """The database is well but doesn't take these values. Trying again won't help: find the page, quarantine it."""


class ThreadDied(SinkError):
    """A thread that the sink can't do without has ended. Stop the process; nothing unacknowledged is lost."""

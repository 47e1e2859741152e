"""Errors of billing, named by what to do next. Only an entry point catches the base class."""

from collections.abc import Sequence
from dataclasses import dataclass


class BillingError(Exception):
    """Base of all errors that billing raises on purpose."""


class ConfigError(BillingError):
    """A restart won't help: the configuration has to be corrected. `problems`: each names file, key and remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: where it is, what was expected there, what to do about it.

    `file` may be empty for what concerns the state as a whole; `line` counts from 1, the header being line 1.
    """

    file: str
    line: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in (None, ""))
        return f"{place}: {self.message}" if place else self.message


class InputRejected(BillingError):
    """Nothing was taken: correct the input and hand it in again."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class IllegalStep(BillingError):
    """The thing isn't in a state that allows this; nothing was changed."""


class NotFound(BillingError):
    """There is nothing by that name; the message says what there is."""


class StoreUnavailable(BillingError):
    """The database can't be reached or is busy: try the same again later."""

"""Errors of the portal, named by what to do next. The web turns them into answers, the command line into exit codes."""

from collections.abc import Sequence

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: a restart won't help, systemd must not try
EXIT_SOFTWARE = 70  # sysexits.h EX_SOFTWARE: something failed; a restart may help
EXIT_REFUSED = 1  # what was asked for isn't possible: the message says why


class PortalError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(PortalError):
    """The configuration can't work: each problem names file, key or line, and remedy. A restart won't help."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Unavailable(PortalError):
    """A database behind the portal can't be reached now. Answer 503; the same may work in a few seconds."""


class Refused(PortalError):
    """What was asked for isn't possible as things stand (409): `word` is the key of a sentence that says why.

    `values` fill its gaps. Keys are in portal/words, both languages.
    """

    def __init__(self, word: str, **values: object) -> None:
        super().__init__(f"{word} {values}" if values else word)
        self.word = word
        self.values = values


class Invalid(Refused):
    """What was sent can't be understood or breaks a rule (422): show the form again, with the sentence."""


class NotThere(PortalError):
    """There is no such thing, or the viewer may not know that there is (404)."""


class NotSignedIn(PortalError):
    """Nobody has said who he is (401): pages lead to the form for signing in."""


class NotAllowed(PortalError):
    """He who asks may not do this (403)."""


class Forged(NotAllowed):
    """An unsafe request without the session's token, or from another site (403)."""


class MustChangePassword(NotAllowed):
    """The one-time password was used: nothing else works before it is changed."""


class TooMany(PortalError):
    """Too many requests (429). `retry_after_s`: when the next one is taken."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"again in {retry_after_s} s")
        self.retry_after_s = retry_after_s

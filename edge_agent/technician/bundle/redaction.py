"""Takes out of a text what nobody else may know: transponders' numbers however they are written, keys, passwords.

A number may be written in hexadecimal or decimal, from either end, with or without zeros in front, in groups or within
other digits. Pure.
"""

import re
from collections.abc import Iterable

TRANSPONDER, SECRET = "(transponder)", "(withheld)"
# Shorter numbers are no transponder's: seconds, registers and page numbers would be mistaken for one.
_LEAST = 1 << 16
_WITHIN_LEAST = 8  # within other digits shorter ones would be found by chance
_WIDTHS = (4, 5, 7, 8, 10)  # bytes that readers print
_RUN = re.compile(r"[0-9A-Fa-f]{5,}")
_GROUPED = re.compile(r"[0-9A-Fa-f]{2}(?:[:\-. ][0-9A-Fa-f]{2}){3,}")
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\bwlt1\.[A-Za-z0-9_.\-]+"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(
        r"""(?i)(?<![\w])(?:password|passphrase|secret|token|authorization)["']?\s*[:=]\s*["']?(?!\s)[^\s"',}]+"""
    ),
)


class Redaction:
    """Knows transponders' numbers, and finds them."""

    def __init__(self, uids: Iterable[int]) -> None:
        spelled = {text for uid in uids if uid >= _LEAST for text in _spellings(uid)}
        self._whole = frozenset(spelled)
        self._within = frozenset(text for text in spelled if len(text) >= _WITHIN_LEAST)
        self._lengths = sorted({len(text) for text in self._within}, reverse=True)

    def apply(self, text: str) -> str:
        """Return the text without what it mustn't hold."""
        for secret in _SECRETS:
            text = secret.sub(SECRET, text)
        return _RUN.sub(self._take_out, _GROUPED.sub(self._take_out_groups, text))

    def _take_out_groups(self, found: re.Match[str]) -> str:
        digits = re.sub(r"[^0-9A-Fa-f]", "", found[0])
        return TRANSPONDER if self._clean(digits) != digits else found[0]

    def _take_out(self, found: re.Match[str]) -> str:
        return self._clean(found[0])

    def _clean(self, digits: str) -> str:
        lower = digits.lower()
        if lower in self._whole or lower.lstrip("0") in self._whole:
            return TRANSPONDER
        for length in self._lengths:
            for at in range(len(lower) - length + 1):
                if lower[at : at + length] in self._within:
                    return self._clean(digits[:at]) + TRANSPONDER + self._clean(digits[at + length :])
        return digits


def _spellings(uid: int) -> Iterable[str]:
    """Yield each way to write a number, lower case, without separators."""
    yield str(uid)
    yield f"{uid:x}"
    for width in _WIDTHS:
        if uid < 1 << 8 * width:
            block = uid.to_bytes(width, "big")
            yield block.hex()
            backwards = int.from_bytes(block[::-1], "big")
            yield block[::-1].hex()
            if backwards >= _LEAST:
                yield f"{backwards:x}"
                yield str(backwards)

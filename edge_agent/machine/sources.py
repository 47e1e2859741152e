"""The files by which Linux tells of the machine. What isn't there, or can't be read, is None: no board tells all."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything is looked for below `root`: `/` in the field, a machine that is laid out as files in a test."""

    root: Path = Path("/")

    def text(self, path: str | Path) -> str | None:
        """Return a file's text without the white space and NULs around it; `path`: relative to the root."""
        try:
            with (self.root / path).open("rb") as file:
                return file.read(_BYTES_MAX).decode(errors="replace").strip("\0 \t\r\n")
        except OSError:
            return None

    def number(self, path: str | Path) -> int | None:
        """Return the whole number that a file holds."""
        text = self.text(path)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def find(self, pattern: str) -> Iterator[Path]:
        """Yield what fits the pattern, in the order of names."""
        try:
            yield from sorted(self.root.glob(pattern))
        except OSError:
            return  # a directory of another user's

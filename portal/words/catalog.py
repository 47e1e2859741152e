"""Reads the words of all languages at start. A key such as `fleet.title` stands in exactly one file of each language.

The files are gettext's (Babel reads them); the msgid is the key, gaps are `{name}`. A new area brings two files of its
own, `words/de/AREA.po` and `words/en/AREA.po`; a test sees to it that every key in use is there in both languages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from babel import Locale
from babel.messages.pofile import read_po

from portal.errors import ConfigError

LANGUAGES = ("de", "en")
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: str
    _entries: Mapping[str, tuple[str, ...]]

    def t(self, key: str, **values: object) -> str:
        """Return the words of a key with its gaps filled; the key itself where there are none, so that one sees it."""
        forms = self._entries.get(key)
        return key if forms is None else forms[0].format_map(values) if values else forms[0]

    def n(self, key: str, count: int, **values: object) -> str:
        """Return the words of a key for so many of something: `{count}` is one of its gaps."""
        forms = self._entries.get(key)
        if forms is None:
            return key
        # German and English both know one form for exactly one, and one for all other numbers.
        form = forms[0] if count == 1 else forms[-1]
        return form.format_map({"count": count, **values})

    def w(self, group: str, value: str) -> str:
        """Return the word of a value that one of our enumerations has: `w("severity", alarm.severity)`."""
        return self.t(f"{group}.{value}")

    def has(self, key: str) -> bool:
        """Return whether there are words for this key."""
        return key in self._entries

    @property
    def keys(self) -> frozenset[str]:
        """All keys that there are words for."""
        return frozenset(self._entries)


def load_words(folder: Path = _FOLDER) -> dict[str, Words]:
    """Return the words of each language, or raise ConfigError naming what is wrong with the files."""
    return {language: Words(language, _load_language(folder, language)) for language in LANGUAGES}


def choose_language(wanted: str | None, accepted: str, default: str) -> str:
    """Return a language of ours: the wanted one, else the browser's by its Accept-Language, else the default."""
    if wanted in LANGUAGES:
        return str(wanted)
    offers = []
    for place, part in enumerate(accepted[:500].split(",")):
        tag, _, quality = part.partition(";q=")
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            offers.append((-_weight(quality), place, language))
    return min(offers)[2] if offers else default


def _weight(quality: str) -> int:
    """Return q=0.8 as 800 thousandths; what can't be read weighs nothing."""
    if not quality:
        return 1000
    try:
        return int(float(quality) * 1000)
    except (ValueError, OverflowError):
        return 0


def _load_language(folder: Path, language: str) -> dict[str, tuple[str, ...]]:
    entries: dict[str, tuple[str, ...]] = {}
    for path in sorted((folder / language).glob("*.po")):
        with path.open("rb") as file:
            for key, forms in _load_file(file, language):
                if key in entries:
                    raise ConfigError(
                        [f"{path}: {key} has words in another file already: rename one of the two"]
                    )
                entries[key] = forms
    if not entries:
        raise ConfigError([f"{folder / language}: holds no words: install the package wastelock anew"])
    return entries


def _load_file(file: IO[bytes], language: str) -> list[tuple[str, tuple[str, ...]]]:
    catalog = read_po(file, locale=Locale(language), abort_invalid=True)
    found = []
    for message in catalog:
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
            found.append((key, forms))
    return found

"""Both languages have every word that templates and code use, with the same gaps; and no word that nobody uses."""

import ast
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from portal import answers
from portal.errors import ConfigError
from portal.rendering import environment
from portal.roles import Permission, Role
from portal.sink_door import (
    AlarmKind,
    BillingImpact,
    Cause,
    Connectivity,
    Health,
    Lifecycle,
    Place,
    Severity,
)
from portal.words.catalog import LANGUAGES, Words, choose_language, load_words

PORTAL = Path("portal")
WORDS = load_words()
AREAS = {key.partition(".")[0] for key in WORDS["en"].keys}
PREFIXES = {".".join(key.split(".")[:n]) for key in WORDS["en"].keys for n in range(1, key.count(".") + 1)}
# A key as it stands in templates and code: areas and names with dots between them.
_KEY = re.compile(r"[a-z_]+(\.[A-Za-z0-9_:-]+)+\Z")
_FILE = re.compile(r"\.(html|css|js|pdf|json|po|xml|csv|sqlite|toml|zip)\Z")
# t("cause." ~ gap.cause ~ ".todo"), w("health", …), known("fault", …): keys that are put together from values.
_JOINED = re.compile(
    r"\b(?:t|n|has)\(\s*[\"']([a-z_.]+)[\"']\s*~\s*[^~,)]+(?:\([^)]*\))?\s*(?:~\s*[\"']([a-z_.]+)[\"'])?"
)
_GROUP = re.compile(r"\b(?:w|known)\(\s*[\"']([^\"']+)[\"']")
# What looks like a key and is none: places in the configuration, names of logs.
NO_WORDS = {"billing.config", "portal.jobs"}
# The values that groups are looked up by: each has a word. What may also be without one (has(…), known(…)) isn't here.
GROUPS: dict[str, Iterable[str]] = {
    "role": Role,
    "permission": Permission,
    "language": LANGUAGES,
    "lifecycle": Lifecycle,
    "connectivity": Connectivity,
    "health": Health,
    "severity": Severity,
    "impact": BillingImpact,
    "alarm": AlarmKind,
    "cause": Cause,
    "place": Place,
}


def templates() -> list[Path]:
    return sorted((PORTAL / "templates").glob("*.html"))


def looks_like_key(text: str) -> bool:
    in_area = _KEY.match(text) and text.partition(".")[0] in AREAS
    return bool(in_area) and not _FILE.search(text) and not text.endswith((".", "_")) and text not in NO_WORDS


def is_group(text: str) -> bool:
    """Return whether this is what keys begin with: macros are given it, and add a value."""
    return text in PREFIXES


def keys_in_templates() -> Iterator[tuple[str, str]]:
    """Yield (place, key) of each t("…") and n("…"), and of each string that looks like the key of a word."""
    for path in templates():
        text = path.read_text(encoding="utf-8")
        for key in re.findall(r"\b[tn]\(\s*[\"']([^\"'~]+)[\"']\s*[,)]", text):
            yield str(path), key
        for key in re.findall(r"[\"']([A-Za-z_.0-9]+)[\"']", text):
            if looks_like_key(key):
                yield str(path), key


def keys_in_code() -> Iterator[tuple[str, str]]:
    """Yield (place, key) of each string in the portal's code that is an area of words, a dot and a name."""
    for path in sorted(PORTAL.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and looks_like_key(node.value):
                yield f"{path}:{node.lineno}", node.value


def joined_keys() -> set[str]:
    """Return the keys that templates and code put together, as regular expressions."""
    found = set()
    for path in templates():
        text = path.read_text(encoding="utf-8")
        found |= {f"{re.escape(head)}.+{re.escape(tail)}" for head, tail in _JOINED.findall(text)}
        found |= {rf"{re.escape(group)}\.[^.]+" for group in _GROUP.findall(text)}
    for path in PORTAL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
                if isinstance(parts[0], str) and parts[0].partition(".")[0] in AREAS and "." in parts[0]:
                    found.add("".join(".+" if part is None else re.escape(str(part)) for part in parts))
    return found | {r"error\..+\.remedy"}


def gaps_of(words: Words, key: str) -> set[str]:
    forms = words._entries[key]
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name}


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["de"].keys == WORDS["en"].keys


def test_words_have_the_same_gaps_in_both_languages() -> None:
    differing = [key for key in WORDS["de"].keys if gaps_of(WORDS["de"], key) != gaps_of(WORDS["en"], key)]
    assert differing == []


def test_no_word_is_empty_and_each_can_be_filled() -> None:
    for words in WORDS.values():
        for key in words.keys:
            filled = words.t(key, **dict.fromkeys(gaps_of(words, key), "x"))
            assert filled.strip() == filled != "", key


def test_every_word_in_use_is_there() -> None:
    missing = {
        f"{place}: {key}"
        for place, key in (*keys_in_templates(), *keys_in_code())
        if not WORDS["en"].has(key) and not is_group(key)
    }
    assert sorted(missing) == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_value_of_a_group_has_a_word(group: str) -> None:
    assert [value for value in GROUPS[group] if not WORDS["en"].has(f"{group}.{value}")] == []


def test_words_that_are_put_together_are_there() -> None:
    empty = [
        pattern for pattern in joined_keys() if not any(map(re.compile(pattern).fullmatch, WORDS["en"].keys))
    ]
    assert empty == []


def test_every_error_that_a_page_tells_says_what_to_do() -> None:
    told = [word for _, _, word in answers._ANSWERS] + [*answers._STATUS_WORDS.values(), "error.other"]
    assert [word for word in told if not WORDS["en"].has(f"{word}.remedy")] == []


def test_no_word_is_left_over() -> None:
    used = {key for _, key in (*keys_in_templates(), *keys_in_code())}
    groups = {rf"{re.escape(key)}\..+" for key in used if is_group(key)}
    joined = [re.compile(pattern) for pattern in joined_keys() | groups]
    left = [key for key in WORDS["en"].keys - used if not any(each.fullmatch(key) for each in joined)]
    assert sorted(left) == []


def test_every_template_is_well_formed() -> None:
    for name in environment.list_templates():
        environment.get_template(name)


def test_no_template_holds_a_script_or_a_style_of_its_own() -> None:
    for path in (PORTAL / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), path
        assert not re.search(r"(src|href)=[\"'](https?:)?//", text), f"{path} names another site"


@pytest.mark.parametrize(
    ("wanted", "accepted", "expected"),
    [
        ("en", "de", "en"),
        (None, "en-GB,en;q=0.9,de;q=0.8", "en"),
        (None, "fr-FR,fr;q=0.9,de-AT;q=0.7,en;q=0.5", "de"),
        (None, "en;q=0.4,de;q=0.9", "de"),
        (None, "fr", "de"),
        (None, "", "de"),
        ("xx", "en", "en"),
        (None, "en;q=nonsense,de;q=0.1", "de"),
    ],
)
def test_the_language_is_the_wanted_one_then_the_browsers(
    wanted: str | None, accepted: str, expected: str
) -> None:
    assert choose_language(wanted, accepted, "de") == expected


def test_a_key_without_words_is_shown_as_it_is() -> None:
    assert WORDS["de"].t("nothing.of.that.kind", count=1) == "nothing.of.that.kind"


def test_one_and_many_have_forms_of_their_own(tmp_path: Path) -> None:
    for language, one, many in (
        ("de", "{count} Tür", "{count} Türen"),
        ("en", "{count} door", "{count} doors"),
    ):
        (tmp_path / language).mkdir()
        (tmp_path / language / "a.po").write_text(
            'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
            f'msgid "a.doors"\nmsgid_plural "a.doors"\nmsgstr[0] "{one}"\nmsgstr[1] "{many}"\n',
            encoding="utf-8",
        )
    words = load_words(tmp_path)
    assert [words["de"].n("a.doors", count) for count in (0, 1, 2)] == ["0 Türen", "1 Tür", "2 Türen"]
    assert words["en"].n("a.doors", 1) == "1 door"
    (tmp_path / "de" / "b.po").write_text('msgid "a.doors"\nmsgstr "Tore"\n')
    with pytest.raises(ConfigError, match="another file already"):
        load_words(tmp_path)

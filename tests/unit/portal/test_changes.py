"""Changes of a lock's twin in the words of a page: no name that programs use is left in them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from portal.changes import name_change, tell_value
from portal.sink_door import Change
from portal.words.catalog import load_words
from portal.words.formatting import Formatting

WORDS = load_words()


def told(language: str, name: str, value: str) -> tuple[str, str]:
    change = Change(
        change_no=1,
        lock="1f00a1",
        gateway=None,
        site=None,
        property=name,
        at=datetime(2026, 11, 25, tzinfo=UTC),
        value=value,
        source="report",
        actor=None,
        reason=None,
    )
    words = WORDS[language]
    fmt = Formatting(language, ZoneInfo("Europe/Berlin"))
    return name_change(words, change), tell_value(words, fmt, change)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("state", "discharging", ("Status", "Entleert")),
        ("container", "emptied", ("Behälter", "geleert")),
        ("service", "begun", ("Wartung vor Ort", "begonnen")),
        ("volume_ml.2", "20000", ("Volumen, Kammer 2", "20\u00a0l")),
        ("enable_mask", "5", ("Kammern freigegeben", "1, 3")),
        ("enable_mask", "0", ("Kammern freigegeben", "nichts mehr")),
        ("fault.chamber_blocked.1", "raised", ("Störung: Kammer blockiert, Kammer 1", "eingetreten")),
        ("condition", "impaired: container_full", ("Verfassung", "eingeschränkt: Behälter voll")),
        ("condition", "recovered", ("Verfassung", "in Ordnung")),
        ("clock_status", "1", ("Uhr", "gestellt")),
        ("desired.enable_mask", "", ("Soll: Kammern freigegeben", "nichts mehr")),
        ("lifecycle", "maintenance", ("Lebenslauf", "Wartung")),
        ("firmware", "1.4.0", ("Firmware", "1.4.0")),
    ],
)
def test_a_german_page_tells_changes_in_german(name: str, value: str, said: tuple[str, str]) -> None:
    assert told("de", name, value) == said


def test_a_description_is_told_part_by_part() -> None:
    value = '{"label":"Yard","row":1,"container_ml":240000,"chambers":{"1":{"fraction":"organic","volume_ml":5000}}}'
    assert told("en", "described", value) == (
        "Description",
        "name: Yard; row: 1; container: 240\u00a0l; Chamber 1: organic, 5\u00a0l",
    )


@pytest.mark.parametrize("value", ["", "x", "{}", "[]", '{"chambers":{"1":5}}', '{"chambers":[1]}'])
def test_what_a_later_release_tells_is_shown_as_it_is(value: str) -> None:
    assert told("de", "described", value)[1] in (value, "nichts mehr")
    assert told("de", "novelty.7", value) == ("novelty.7", value or "nichts mehr")

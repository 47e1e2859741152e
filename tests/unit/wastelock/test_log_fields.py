"""What may stand in a log line."""

import pytest

from wastelock.log_fields import WITHHELD, chosen_format, first_fields_first, withhold


@pytest.mark.parametrize(
    ("wanted", "is_terminal", "chosen"),
    [("auto", True, "logfmt"), ("auto", False, "json"), ("json", True, "json"), ("logfmt", False, "logfmt")],
)
def test_people_get_logfmt_and_machines_json_unless_something_else_is_wanted(
    wanted: str, is_terminal: bool, chosen: str
) -> None:
    assert chosen_format(wanted, is_terminal) == chosen


@pytest.mark.parametrize(
    "name", ["uid", "raw", "credential", "transponder", "payload", "token", "password", "record"]
)
def test_what_is_named_like_a_secret_is_withheld_whatever_it_is(name: str) -> None:
    assert withhold(None, "info", {"event": "x", name: 0xE0040150_00000001, "lock": "1f00a1"}) == {
        "event": "x",
        name: WITHHELD,
        "lock": "1f00a1",
    }


@pytest.mark.parametrize("value", [b"\x01" * 44, bytearray(8), memoryview(b"x")])
def test_bytes_are_withheld_whatever_their_name(value: bytes) -> None:
    assert withhold(None, "info", {"event": "x", "why": value})["why"] == WITHHELD


def test_a_text_without_end_is_cut() -> None:
    told = withhold(None, "info", {"event": "x", "why": "a" * 1_000_000})["why"]
    assert len(told) < 2100 and told.endswith("(1000000 characters)")


def test_a_line_begins_with_instant_level_and_event() -> None:
    event = {"lock": "1f00a1", "event": "x", "level": "info", "timestamp": "now"}
    assert list(first_fields_first(None, "info", event)) == ["timestamp", "level", "event", "lock"]

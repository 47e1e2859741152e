"""What is answered to monitoring, and where a program may listen."""

import json

import pytest

from wastelock.monitoring import Address, Views, parse_address, respond


def views(stuck: list[str] | None = None, missing: list[str] | None = None) -> Views:
    return Views(
        lambda accept: (f"type for {accept}", b"figures"), lambda: stuck or [], lambda: missing or []
    )


def test_metrics_are_told_in_the_format_that_is_accepted() -> None:
    answer = respond(views(), "/metrics?name[]=x", "application/openmetrics-text")
    assert (answer.status, answer.content_type, answer.body) == (
        200,
        "type for application/openmetrics-text",
        b"figures",
    )


@pytest.mark.parametrize(("path", "word"), [("/healthz", "alive"), ("/readyz", "ready")])
def test_health_is_200_while_all_is_well_and_503_with_reasons_otherwise(path: str, word: str) -> None:
    good = respond(views(), path, "")
    assert (good.status, json.loads(good.body)) == (200, {word: True, "reasons": []})
    bad = respond(views(["no progress: x"], ["no progress: x", "broker: away"]), path, "")
    reasons = ["no progress: x"] if word == "alive" else ["no progress: x", "broker: away"]
    assert (bad.status, json.loads(bad.body)) == (503, {word: False, "reasons": reasons})
    assert good.content_type == bad.content_type == "application/json"


def test_what_is_missing_does_not_make_a_program_look_dead() -> None:
    assert respond(views(missing=["broker: away"]), "/healthz", "").status == 200


def test_anything_else_is_not_there() -> None:
    assert [respond(views(), path, "").status for path in ("/", "/metrics/", "/health", "")] == [404] * 4


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9465", Address("127.0.0.1", 9465)),
        ("[::1]:0", Address("::1", 0)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65535)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "9465", ":9465", "localhost:9465", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:9465",
             "127.0.0.1:-1", "127.0.0.1:٣", "[::1]", "http://127.0.0.1:9465"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)

"""The published contract: equal to what the models give, valid AsyncAPI 3.0, and true of real messages."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import BaseModel

from tests.unit.wastelock.vectors import load_vectors
from tools.contract import DIRECTORY, render_contract
from wastelock import messages, orders
from wastelock.contract import CHANNELS, Channel, build_asyncapi, build_documents, schema_name
from wastelock.topics import RESERVED_SITES, InvalidTopic, parse_gateway_topic

ASYNCAPI_SCHEMA = Path(__file__).parents[2] / "vectors" / "asyncapi" / "3.0.0.json"
AT = datetime(2026, 11, 22, 9, 31, 1, 210_000, UTC)
LATER = datetime(2026, 11, 22, 9, 41, 1, 210_000, UTC)
JOURNAL = "0d3c8c5e-7f3b-4f0a-9c61-2f6f0b1f8a11"

LOCK_STATE = messages.LockState(
    lock="1f00a3", driver="wlc-1", at=AT, reachable=True, model=3, firmware="4.17.9", epoch=7, state="locked",
    faults=("container_full",), fill_permille=812, battery_mv=3612, temperature_dc=-105, clock_status=1,
    clock_offset_s=-2, access_list_version=9, oldest_seq=1, newest_seq=905, confirmed_seq=900, spooled_seq=905,
    chambers=(messages.ChamberState(number=1, volume_ml=5000, register_count=48211, enabled=True),),
)  # fmt: skip
POUR = messages.PourData(
    site="estate-1", lock="1f00a3", chamber=1, volume_ml=5000, weight_g=None, fraction=None,
    credential="8d7f3c", result=0, clock_quality="ntp", register=48211,
)  # fmt: skip

# Messages as the programs make them, one or more for each channel: full ones and ones with the least.
EXAMPLES: dict[str, list[bytes]] = {
    "page": [vector["payload"].encode() for vector in load_vectors("pages")],
    "result": [
        orders.CommandOutcome(id="c-1", lock="1f00a3", outcome="rejected", at=AT, reason="unknown lock").to_json(),
        orders.CommandOutcome(id="c-1", lock="1f00a3", outcome="done", at=AT, state=LOCK_STATE).to_json(),
    ],
    "telemetry": [
        messages.Telemetry(
            gateway="gw-0001", at=AT, spool_bytes=1, spool_pages=2, unsent_pages=0, clock="unset"
        ).to_json(),
        messages.Telemetry(
            gateway="gw-0001", at=AT, spool_bytes=1, spool_pages=2, unsent_pages=3, clock="ntp", oldest_unsent_at=AT,
            buses=(
                messages.BusStatistics(
                    bus="north", requests=9, timeouts=1, late_or_foreign_replies=0, crc_errors=2, exceptions=0,
                    breaker_open_units=(7,), wire_busy_permille=913,
                ),
            ),
        ).to_json(),
    ],
    "gatewayState": [
        messages.GatewayState(gateway="gw-0001", online=False, incarnation=4).to_json(),
        messages.GatewayState(
            gateway="gw-0001", online=True, incarnation=4, at=AT, software="0.1.0", journal=JOURNAL,
            kid="If4x36FUomFia_hU", oldest_page=1, newest_page=9, committed_through=8, locks=("1f00a3",),
            alarms=("spool nearly full",),
        ).to_json(),
    ],
    "lockState": [
        LOCK_STATE.to_json(),
        messages.LockState(lock="1f00a3", driver="counter-1", at=AT, reachable=False, unreachable_since=AT).to_json(),
    ],
    "receipt": [
        messages.Receipt(journal=JOURNAL, committed_through=0, at=AT).to_json(),
        messages.Receipt(
            journal=JOURNAL, committed_through=1842, head="h" * 43, held=((1850, 1861), (1870, 1870)),
            quarantined=((1839, "bad signature"),), at=AT,
        ).to_json(),
    ],
    "resend": [messages.ResendRequest(journal=JOURNAL, pages=((1843, 1849),)).to_json()],
    "command": [
        orders.Command(
            id="c-1", lock="1f00a3", action="enable_chambers", issued_at=AT, expires_at=LATER, enable_mask=3
        ).to_json()
    ],
    "desired": [
        orders.Desired(
            revision=3, at=AT,
            locks={
                "1f00a3": orders.DesiredLock(
                    access_list_version=9, access_list=(orders.AccessEntry(uid="4a2b3c4d5e6f7", service=True),),
                    enable_mask=1, poll_interval_s=5,
                )
            },
        ).to_json()
    ],
    "feed": [
        messages.FeedEvent(
            source="/wl/estate-1/1f00a3", id="1f00a3/7/905", subject=subject, time=AT, sequence="17", recordedtime=AT,
            data=POUR,
        ).to_json()
        for subject in ("8d7f3c", None)
    ],
    "identityRequest": [
        messages.IdentityRequest(body='{"v":1}', proof="p" * 86).to_json(),
        messages.IdentityRequest(body='{"v":1}', proof="p" * 86, endorsement="e" * 96).to_json(),
    ],
    "identityAnswer": [
        messages.IdentityAnswer(request="r" * 43, at=AT, refused="the token has expired").to_json(),
        messages.IdentityAnswer(request="r" * 43, at=AT, certificate="PEM", authority="PEM", sign_from=AT).to_json(),
    ],
    "sinkState": [messages.SinkState(online=True, at=AT, software="0.1.0").to_json()],
}  # fmt: skip


def validator(channel_name: str) -> Draft202012Validator:
    channel = next(channel for channel in CHANNELS if channel.name == channel_name)
    return Draft202012Validator(
        build_documents()[f"schemas/{schema_name(channel)}"],
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def test_kept_documents_are_the_ones_that_the_models_give() -> None:
    rendered = render_contract()
    kept = {
        str(path.relative_to(DIRECTORY)): path.read_text() for path in DIRECTORY.rglob("*") if path.is_file()
    }
    for made_elsewhere in (
        "README.md",
        "openapi.json",
    ):  # by hand; by `portal openapi`, which has a test of its own
        kept.pop(made_elsewhere)
    assert sorted(kept) == sorted(rendered), "run `make contract`"
    assert [name for name in rendered if kept[name] != rendered[name]] == [], "run `make contract`"


def test_kept_yaml_is_the_document() -> None:
    assert yaml.safe_load((DIRECTORY / "asyncapi.yaml").read_text()) == build_asyncapi()


def test_document_is_valid_asyncapi_3() -> None:
    schema = json.loads(ASYNCAPI_SCHEMA.read_text())
    checker = Draft7Validator(schema)
    assert [error.message for error in checker.iter_errors(build_asyncapi())] == []
    broken = {
        **build_asyncapi(),
        "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/page"}}},
    }
    assert list(checker.iter_errors(broken)) != [], "the schema must be able to say no"


def test_each_reference_in_the_document_leads_somewhere() -> None:
    document, files = build_asyncapi(), render_contract()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return (
                [node["$ref"]]
                if "$ref" in node
                else [ref for value in node.values() for ref in references(value)]
            )
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert len(found) > len(CHANNELS)
    for ref in found:
        if ref.startswith("./"):
            assert ref.removeprefix("./") in files
            continue
        node = document
        for key in ref.removeprefix("#/").split("/"):
            node = node[key]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_schemas_are_valid_and_messages_as_they_are_made_fit_them(channel: Channel) -> None:
    checker = validator(channel.name)
    Draft202012Validator.check_schema(checker.schema)
    for payload in EXAMPLES[channel.name]:
        checker.validate(json.loads(payload))
        if issubclass(channel.model, BaseModel):
            assert channel.model.model_validate_json(payload) is not None


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_messages_with_fields_of_a_later_release_fit_and_are_read(channel: Channel) -> None:
    for payload in EXAMPLES[channel.name]:
        later = {**json.loads(payload), "added_later": {"x": 1}}
        validator(channel.name).validate(later)
        if issubclass(channel.model, BaseModel):
            read = channel.model.model_validate_json(json.dumps(later))
            assert read == channel.model.model_validate_json(payload)


@pytest.mark.parametrize(
    ("channel", "change"),
    [
        ("page", {"v": 2}),
        ("page", {"page": 0}),
        ("page", {"clock": "sundial"}),
        ("page", {"records": []}),
        ("page", {"journal": "mine"}),
        ("receipt", {"committed_through": -1}),
        ("receipt", {"journal": "0D3C8C5E-7F3B-4F0A-9C61-2F6F0B1F8A11"}),
        ("lockState", {"lock": "001f00a3"}),
        ("command", {"action": "open_sesame"}),
        ("telemetry", {"v": None}),
    ],
)
def test_schemas_say_no_to_what_the_contract_forbids(channel: str, change: dict[str, Any]) -> None:
    good = json.loads(EXAMPLES[channel][0])
    with pytest.raises(ValidationError):
        validator(channel).validate({**good, **change})


def test_version_is_always_on_the_wire() -> None:
    for channel in CHANNELS:
        if channel.name != "feed":
            assert "v" in json.loads(EXAMPLES[channel.name][0])
            with pytest.raises(ValidationError):
                validator(channel.name).validate(
                    {key: value for key, value in json.loads(EXAMPLES[channel.name][0]).items() if key != "v"}
                )


def test_addresses_are_topics_that_our_programs_understand() -> None:
    for name, channel in build_asyncapi()["channels"].items():
        topic = channel["address"].format(site="estate-1", gateway="gw-0001", lock="1f00a3")
        if name in ("feed", "sinkState"):
            assert topic.split("/")[2] in RESERVED_SITES
            with pytest.raises(InvalidTopic):
                parse_gateway_topic(topic)
        else:
            assert parse_gateway_topic(topic).gateway == "gw-0001"


def test_every_feed_event_keeps_null_data_and_leaves_out_an_absent_subject() -> None:
    with_subject, without = (json.loads(payload) for payload in EXAMPLES["feed"])
    assert with_subject["subject"] == "8d7f3c"
    assert "subject" not in without
    assert without["data"]["weight_g"] is None
    assert without["data"]["register"] == 48211

"""A lock for others: held against the schemas of W3C and of Smart Data Models as they published them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError
from referencing import Registry, Resource

from cloud_sink.projections.twins.describing import (
    PROPERTIES,
    property_values,
    thing_description,
    waste_container,
)
from cloud_sink.projections.twins.model import LockTwin, SiteSummary
from portal.app import describe_api
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.record import Kind

VECTORS = Path(__file__).parents[3] / "vectors"
API = "https://portal.example.org/api/v1/"
LEIPZIG = {"latitude": 51.34, "longitude": 12.37, "street": "Lindenhof 3", "city": "04275 Leipzig"}


def load(path: str) -> Any:
    return json.loads((VECTORS / path).read_text(encoding="utf-8"))


@pytest.fixture
def lock_and_site(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> Callable[[], tuple[LockTwin, SiteSummary]]:
    """Returns the twin of a lock that has done and told something, and its site."""
    rig.operations.describe_site("estate-1", LEIPZIG, TECHNICIAN)
    chambers = {1: {"fraction": "organic", "volume_ml": 5000}}
    fields = {"label": "Hof 3", "site": "estate-1", "chambers": chambers}
    rig.operations.describe_lock(lock.name, fields, TECHNICIAN)
    rig.ledger.take(
        gateway.seal([*lock.pours(3), lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))])
    )
    rig.hear_lock(lock, gateway, fill_permille=412, temperature_dc=-35, battery_mv=3600)
    rig.clock.go_on(minutes=1)

    def found() -> tuple[LockTwin, SiteSummary]:
        twin, site = rig.twin(lock), rig.reader.site("estate-1")
        assert site is not None
        return twin, site

    return found


def test_the_thing_description_is_valid_by_w3cs_schema(
    lock_and_site: Callable[[], tuple[LockTwin, SiteSummary]],
) -> None:
    schema = load("wot/td-json-schema-validation.json")
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)
    description = thing_description(lock_and_site()[0], API)
    validator.validate(description)
    assert (description["id"], description["title"]) == ("urn:wastelock:lock:1f00a1", "Hof 3")
    without_security = {name: value for name, value in description.items() if name != "security"}
    with pytest.raises(ValidationError, match="security"):
        validator.validate(without_security)


def test_each_property_has_a_value_of_the_type_that_is_described(
    lock_and_site: Callable[[], tuple[LockTwin, SiteSummary]],
    rig: TwinRig,
    gateway: FakeGateway,
) -> None:
    told, unheard = lock_and_site()[0], FakeLock(0x1F00C9)
    rig.ledger.take(gateway.seal(unheard.pours(1)))
    for twin in (told, rig.twin(unheard)):
        values = json.loads(json.dumps(property_values(twin)))
        described = thing_description(twin, API)["properties"]
        assert set(values) == set(described) == set(PROPERTIES)
        for name, value in values.items():
            Draft202012Validator(described[name]).validate(value)
    assert property_values(told)["fill_permille"] == 412
    assert property_values(rig.twin(unheard))["firmware"] is None


def test_each_address_is_one_of_the_portals_api(
    lock_and_site: Callable[[], tuple[LockTwin, SiteSummary]],
) -> None:
    description = thing_description(lock_and_site()[0], API)
    assert description["base"] == API
    described = [each for part in ("properties", "actions", "events") for each in description[part].values()]
    forms = [form for each in [*described, description] for form in each["forms"]]
    paths = describe_api()["paths"]
    for form in forms:
        method = form.get("htv:methodName", "GET").lower()
        assert method in paths[template_of(form["href"])], form
    assert len(forms) > len(PROPERTIES)


def template_of(href: str) -> str:
    """Return an address as the API's description has it."""
    path = "/api/v1/" + href.partition("?")[0].replace("1f00a1", "{lock}").replace("{property}", "{prop}")
    return re.sub(r"(/properties)/[a-z_]+$", r"\1/{name}", path)


def test_the_container_is_valid_by_the_smart_data_model(
    lock_and_site: Callable[[], tuple[LockTwin, SiteSummary]],
) -> None:
    common = load("smart_data_models/common-schema.json")
    registry: Registry[Any] = Registry().with_resource(common["$id"], Resource.from_contents(common))
    schema = load("smart_data_models/WasteContainer.schema.json")
    validator = Draft202012Validator(schema, registry=registry)
    container = waste_container(*lock_and_site())
    assert container is not None
    validator.validate(container)
    assert (container["fillingLevel"], container["storedWasteKind"], container["status"]) == (
        0.412,
        "organic",
        "ok",
    )
    assert container["location"] == {"type": "Point", "coordinates": [12.37, 51.34]}
    with pytest.raises(ValidationError):
        validator.validate({**container, "fillingLevel": 412})


def test_without_coordinates_there_is_no_container_to_describe(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig.hear_lock(lock, gateway)
    twin, site = rig.twin(lock), rig.reader.site("estate-1")
    assert site is not None
    assert waste_container(twin, site) is None

"""The lock files hold what pyproject.toml asks for, and the gateways' one stays light."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.sources import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> Mapping[str, Version]:
    """Return the versions that a lock file pins."""
    made: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{name}: {line} isn't pinned"
        made[canonicalize_name(requirement.name)] = Version(pin.version)
    return made


def wanted(*extras: str) -> Iterator[Requirement]:
    """Yield what the project itself and these extras ask for, extras of extras included."""
    asked = list(PROJECT["dependencies"])
    for extra in extras:
        asked += PROJECT["optional-dependencies"][extra]
    for text in asked:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            yield from wanted(*requirement.extras)
        else:
            yield requirement


@pytest.mark.parametrize(
    ("lock", "extra"), [("requirements.lock", "dev"), ("requirements-edge.lock", "edge")]
)
def test_lock_satisfies_the_project(lock: str, extra: str) -> None:
    pinned = pins(lock)
    for requirement in wanted(extra):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} isn't in {lock}: run `make lock`"
        assert requirement.specifier.contains(version), (
            f"{lock} pins {version}, wanted {requirement}: run `make lock`"
        )


def test_gateways_get_nothing_of_the_cloud_and_no_tools() -> None:
    edge = {canonicalize_name(requirement.name) for requirement in wanted("edge")}
    elsewhere = {canonicalize_name(requirement.name) for requirement in wanted("cloud", "dev")} - edge
    assert {"sqlalchemy", "psycopg", "alembic", "pytest", "mypy"} <= elsewhere
    assert elsewhere & set(pins("requirements-edge.lock")) == set()


def test_gateways_get_the_versions_that_were_tested() -> None:
    tested = pins("requirements.lock")
    assert {
        name: version
        for name, version in pins("requirements-edge.lock").items()
        if tested.get(name) != version
    } == {}

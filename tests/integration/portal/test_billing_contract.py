"""Billing's and households' part of the API keeps to its own description, asked about what is really there."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from portal import cookies
from portal.accounts.secret import derive_csrf_token
from portal.app import describe_api
from portal.roles import Role
from tests.integration.portal.billing_desk import ROSSI, running_portal
from tests.support.billed_estate import CLERK, EstateFiles
from tests.support.portal import Portal

KNOWN = {
    "property_id": "lindenhof", "first": "2025-01-01", "revision": 1, "dwelling": "WE04", "party": "T05",
}  # fmt: skip
BOUNDED = settings(
    max_examples=2, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
# What the description allows may still name what isn't there, or break a rule that no schema can say.
EXCLUDED = [positive_data_acceptance]

load_all_checks()
described = schemathesis.openapi.from_dict(describe_api())
billing = described.include(path_regex="/billing/")
household = described.include(path_regex="/household").exclude(path_regex=r"/live\Z")


@pytest.fixture(scope="module")
def portal(built_estate: EstateFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    directory = tmp_path_factory.mktemp("contract")
    with running_portal(built_estate.copy(directory), directory) as running:
        yield running


@pytest.fixture(scope="module")
def by_token(portal: Portal) -> dict[str, str]:
    return {"Authorization": f"Bearer {portal.token(Role.CLERK, CLERK)}"}


@pytest.fixture(scope="module")
def by_household(portal: Portal) -> dict[str, str]:
    session_id = portal.household_session(ROSSI)
    name = cookies.household_name(portal.settings.web)
    return {"Cookie": f"{name}={session_id}", "X-CSRF-Token": derive_csrf_token(session_id)}


@billing.parametrize()
@BOUNDED
def test_bills_are_told_as_described(case: Any, portal: Portal, by_token: dict[str, str]) -> None:
    if case.meta.generation.mode.is_positive:
        case.path_parameters = {**(case.path_parameters or {}), **_known(case)}
    case.call_and_validate(base_url=portal.url, headers=by_token, excluded_checks=EXCLUDED)


@household.parametrize()
@BOUNDED
def test_a_household_is_told_as_described(case: Any, portal: Portal, by_household: dict[str, str]) -> None:
    # The cookie is always the household's own: that a request without it is refused is told in test_access.py.
    excluded = [*EXCLUDED, negative_data_rejection]
    case.call_and_validate(base_url=portal.url, headers=by_household, excluded_checks=excluded)


def _known(case: Any) -> dict[str, object]:
    return {name: value for name, value in KNOWN.items() if name in (case.path_parameters or {})}

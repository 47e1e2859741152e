"""The API keeps to its own description: Schemathesis asks it what the description allows, and what it doesn't."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cloud_sink.projections.feed import Feed
from cloud_sink.projections.usage_store import default_url
from portal.app import describe_api
from portal.config import LimitsSection
from portal.roles import Role
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config
from tests.support.twins import TwinRig

KEPT = Path("docs/contract/openapi.json")
OFTEN = LimitsSection(token="1000000/minute")
STREAMS = r"/live\Z"  # they don't end; tested in test_live.py
BILLS = r"/billing/|/household"  # asked about what is there in test_billing_contract.py
# More of them find more: WASTELOCK_API_EXAMPLES=200 before a release.
EXAMPLES = int(os.environ.get("WASTELOCK_API_EXAMPLES", "2"))
# Bounded by count; the shared machine says nothing about speed.
BOUNDED = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
# What the description allows may still name what isn't there, or break a rule that no schema can say.
EXCLUDED = [positive_data_acceptance]

load_all_checks()


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """What stands in paths every other time, so that more than 404 is reached."""
    return {"lock": FakeLock().name, "site": FakeGateway().site, "gateway": FakeGateway().gateway}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal over one lock with some pours, heard of a moment ago, and its twin."""
    directory = tmp_path_factory.mktemp("contract")
    gateway, lock = FakeGateway(), FakeLock()
    ledger = Ledger(f"sqlite:///{directory / 'ledger.sqlite'}", directory, [gateway], [lock])
    rig = TwinRig(ledger)
    ledger.take(gateway.seal(lock.pours(20)), gateway.seal(lock.pours(20)))
    rig.hear_gateway(gateway)
    rig.hear_lock(lock, gateway)
    rig.catch_up()
    feed = Feed(ledger.url, default_url(ledger.url), 1000, None, Random(1))
    feed.step()
    feed.close()
    with Portal(directory, write_sink_config(directory, ledger.url), limits=OFTEN) as running:
        yield running
    ledger.close()


@pytest.fixture(scope="module")
def token(portal: Portal) -> str:
    return portal.token(Role.OPERATOR)


schema = schemathesis.openapi.from_dict(describe_api()).exclude(path_regex=STREAMS).exclude(path_regex=BILLS)


@schema.parametrize()
@BOUNDED
def test_it_answers_with_a_token_as_it_says(
    case: Any, portal: Portal, token: str, known: dict[str, str]
) -> None:
    if case.meta.generation.mode.is_positive and len(json.dumps(case.query or {}, default=str)) % 2:
        case.path_parameters = {
            name: known.get(name, value) for name, value in (case.path_parameters or {}).items()
        }
    case.call_and_validate(
        base_url=portal.url, headers={"Authorization": f"Bearer {token}"}, excluded_checks=EXCLUDED
    )


@schema.parametrize()
@settings(BOUNDED, max_examples=max(1, EXAMPLES // 4), phases=[Phase.generate])
def test_it_answers_without_a_token_as_it_says(case: Any, portal: Portal) -> None:
    response = case.call_and_validate(base_url=portal.url, excluded_checks=EXCLUDED)
    assert response.status_code in (400, 401, 405, 422)


def test_the_kept_description_is_the_true_one() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert kept == describe_api(), f"portal openapi > {KEPT}"

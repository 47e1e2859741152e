"""A portal over a copy of the billed estate, whose clock stands where the estate's data end and goes on from there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from portal import cookies
from portal.roles import Role
from tests.support.billed_estate import NOW, EstateFiles
from tests.support.portal import HouseholdOf, Portal, write_sink_config

RUN = "/billing/runs/lindenhof/2025-01-01/1"
PARK_RUN = "/billing/runs/parkhof/2025-01-01/1"
EVER = date(2020, 1, 1)
ROSSI = HouseholdOf("lindenhof", "WE04", "T05", EVER)
PETERSEN = HouseholdOf("lindenhof", "WE03", "T04", EVER)
WENDT = HouseholdOf("lindenhof", "WE02", "T02", EVER, date(2025, 8, 31))  # moved out
DEMIR = HouseholdOf("lindenhof", "WE02", "T03", date(2025, 9, 1))  # moved in after him
VOSS = HouseholdOf("parkhof", "P1", "Q1", EVER)


@contextmanager
def running_portal(files: EstateFiles, directory: Path) -> Iterator[Portal]:
    """A portal over these books."""
    began = time.monotonic()
    with Portal(
        directory,
        write_sink_config(directory, files.ledger_url),
        files.billing_config,
        clock=lambda: NOW + timedelta(seconds=time.monotonic() - began),
    ) as running:
        yield running


def person(portal: Portal, role: Role, name: str) -> tuple[str, str]:
    """Return the cookie of a person who is signed in."""
    return cookies.session_name(portal.settings.web), portal.session(role, name)


def lodger(portal: Portal, household: HouseholdOf) -> tuple[str, str]:
    """Return the cookie of a household that has opened its link."""
    return cookies.household_name(portal.settings.web), portal.household_session(household)

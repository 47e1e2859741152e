"""Every route for every kind of viewer, against a table that is written by hand. A route without a row fails.

The letters of a row are those who are let in: o operator, c clerk, t technician, r reader, each by a session's cookie
and, on API routes, by a token; h a household by its session; n nobody. What one is let in to may still be missing
(404), wrong (422) or away (503): whose objects one sees is tested where the objects are.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from portal import cookies
from portal.accounts.secret import derive_csrf_token
from portal.config import LimitsSection
from portal.roles import GRANTS, Permission, Role
from tests.support.fake_gateway import FakeGateway
from tests.support.ledger import Ledger
from tests.support.portal import HouseholdOf, Portal, write_sink_config

ALL = "octrhn"
PEOPLE = "octr"  # anybody who has signed in
FLEET = "octr"
LOCKS = "ot"
BILLS = "oc"
BILLING = "c"
ACCESS = "o"
HOUSEHOLD = "h"

TABLE = {
    "GET /": ALL,
    "GET /login": ALL,
    "POST /login": ALL,
    "POST /logout": ALL,
    "POST /language": ALL,
    "GET /healthz": ALL,
    "GET /readyz": ALL,
    "GET /metrics": ALL,
    "GET /static/{path:path}": ALL,
    "GET /api/v1/openapi.json": ALL,
    "GET /h/{secret}": ALL,
    "POST /household/leave": ALL,
    "GET /account": PEOPLE,
    "GET /account/password": PEOPLE,
    "POST /account/password": PEOPLE,
    "POST /account/sessions/end": PEOPLE,
    "GET /accounts": ACCESS,
    "GET /accounts/log": ACCESS,
    "POST /accounts/users": ACCESS,
    "POST /accounts/users/{name}/role": ACCESS,
    "POST /accounts/users/{name}/reset": ACCESS,
    "POST /accounts/users/{name}/disabled": ACCESS,
    "GET /accounts/tokens": ACCESS,
    "POST /accounts/tokens": ACCESS,
    "POST /accounts/tokens/{name}/revoke": ACCESS,
    "GET /api/v1/me": PEOPLE,
    "GET /api/v1/live": FLEET,
    "GET /fleet": FLEET,
    "GET /fleet/figures": FLEET,
    "GET /fleet/map": FLEET,
    "GET /fleet/list": FLEET,
    "GET /fleet/access": FLEET,
    "GET /fleet/alarms": FLEET,
    "GET /sites/{site}": FLEET,
    "GET /sites/{site}/locks": FLEET,
    "GET /sites/{site}/gateways": FLEET,
    "GET /sites/{site}/alarms": FLEET,
    "GET /sites/{site}/latest": FLEET,
    "GET /locks/{lock}": FLEET,
    "GET /locks/{lock}/live": FLEET,
    "GET /locks/{lock}/journal": FLEET,
    "GET /locks/{lock}/history": FLEET,
    "POST /locks/{lock}/lifecycle": LOCKS,
    "POST /locks/{lock}/notes": LOCKS,
    "POST /locks/{lock}/desired": LOCKS,
    "POST /locks/{lock}/description": LOCKS,
    "GET /locks/{lock}/desired": FLEET,
    "GET /locks/{lock}/orders": FLEET,
    "GET /locks/{lock}/access-list": FLEET,
    "POST /locks/{lock}/commands": LOCKS,
    "POST /locks/{lock}/commands/{command_id}/withdrawal": LOCKS,
    "POST /locks/{lock}/chambers": LOCKS,
    "POST /locks/{lock}/access-list/release": LOCKS,
    "GET /alarms": FLEET,
    "GET /alarms/list": FLEET,
    "POST /alarms/{alarm_id:path}/acknowledgement": LOCKS,
    "GET /quality": FLEET,
    "GET /quality/pages": FLEET,
    "GET /quality/disputes": FLEET,
    "GET /quality/quarantine": FLEET,
    "GET /quality/locks/{lock}": FLEET,
    "GET /api/v1/fleet": FLEET,
    "GET /api/v1/locks": FLEET,
    "GET /api/v1/alarms": FLEET,
    "POST /api/v1/alarms/{alarm_id:path}/acknowledgement": LOCKS,
    "GET /api/v1/sites": FLEET,
    "GET /api/v1/sites/{site}": FLEET,
    "PATCH /api/v1/sites/{site}": LOCKS,
    "GET /api/v1/sites/{site}/charts/pours": FLEET,
    "GET /api/v1/gateways": FLEET,
    "GET /api/v1/gateways/{site}/{gateway}": FLEET,
    "GET /api/v1/locks/{lock}": FLEET,
    "GET /api/v1/locks/{lock}/journal": FLEET,
    "GET /api/v1/locks/{lock}/history": FLEET,
    "GET /api/v1/locks/{lock}/charts/{name}": FLEET,
    "GET /api/v1/locks/{lock}/thing": FLEET,
    "GET /api/v1/locks/{lock}/properties": FLEET,
    "GET /api/v1/locks/{lock}/properties/{name}": FLEET,
    "GET /api/v1/locks/{lock}/waste-container": FLEET,
    "POST /api/v1/locks/{lock}/lifecycle": LOCKS,
    "POST /api/v1/locks/{lock}/notes": LOCKS,
    "PUT /api/v1/locks/{lock}/desired/{prop}": LOCKS,
    "PATCH /api/v1/locks/{lock}/description": LOCKS,
    "GET /api/v1/locks/{lock}/commands": FLEET,
    "POST /api/v1/locks/{lock}/commands": LOCKS,
    "GET /api/v1/commands/{command_id}": FLEET,
    "POST /api/v1/commands/{command_id}/withdrawal": LOCKS,
    "GET /api/v1/locks/{lock}/access-list": FLEET,
    "GET /api/v1/locks/{lock}/access-list/versions": FLEET,
    "GET /api/v1/locks/{lock}/access-list/transponders": "oct",
    "POST /api/v1/locks/{lock}/access-list/release": LOCKS,
    "GET /api/v1/quality/locks": FLEET,
    "GET /api/v1/quality/reconciliation": FLEET,
    "GET /api/v1/quality/reconciliation/{lock}": FLEET,
    "GET /api/v1/quality/pages": FLEET,
    "GET /api/v1/quality/disputes": FLEET,
    "GET /api/v1/quality/quarantine": FLEET,
    "GET /api/v1/feed": ACCESS,
    "GET /api/v1/feed/{site}": ACCESS,
    "GET /billing": BILLS,
    "GET /billing/properties/{property_id}": BILLS,
    "GET /billing/properties/{property_id}/metering": BILLS,
    "POST /billing/properties/{property_id}/periods/{first}/draft": BILLING,
    "GET /billing/runs": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/reviews": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/history": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/replay": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/correction": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/rows/{dwelling}/{party}": BILLS,
    "POST /billing/runs/{property_id}/{first}/{revision}/decide": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/submit": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/send-back": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/approve": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/finalize": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/deliver": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/receive": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/object": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/settle": BILLING,
    "POST /billing/runs/{property_id}/{first}/{revision}/revise": BILLING,
    # Papers of what is there: nothing is decided by making them.
    "POST /billing/runs/{property_id}/{first}/{revision}/statements": BILLS,
    "POST /billing/runs/{property_id}/{first}/{revision}/export": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/statements/{dwelling}/{party}.pdf": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/overview.pdf": BILLS,
    "GET /billing/runs/{property_id}/{first}/{revision}/revision.json": BILLS,
    "GET /billing/jobs/{job_id}": BILLS,
    "GET /billing/jobs/{job_id}/file": BILLS,
    "GET /billing/invoices": BILLS,
    "GET /billing/invoices/{invoice}": BILLS,
    "GET /billing/invoices/{invoice}/xrechnung.xml": BILLS,
    "GET /billing/invoices/{invoice}/zugferd.pdf": BILLS,
    "GET /household": HOUSEHOLD,
    "GET /household/now": HOUSEHOLD,
    "GET /household/standing": HOUSEHOLD,
    "GET /household/statements/{first}/{revision}.pdf": HOUSEHOLD,
    "GET /api/v1/household": HOUSEHOLD,
    "GET /api/v1/household/pours": HOUSEHOLD,
    "GET /api/v1/household/statements": HOUSEHOLD,
    "GET /api/v1/household/live": HOUSEHOLD,
    "GET /billing/transponders": BILLS,
    "POST /billing/transponders/block": BILLING,
    "POST /billing/transponders/restore": BILLING,
    "GET /billing/links": BILLING,
    "POST /billing/links": BILLING,
    "POST /billing/links/{number}/revoke": BILLING,
    "GET /api/v1/billing/properties": BILLS,
    "GET /api/v1/billing/properties/{property_id}": BILLS,
    "GET /api/v1/billing/runs": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/rows": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/rows/{dwelling}/{party}/pours": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/document": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/correction": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/statements/{dwelling}/{party}": BILLS,
    "GET /api/v1/billing/runs/{property_id}/{first}/{revision}/overview": BILLS,
    "GET /api/v1/billing/invoices": BILLS,
    "GET /api/v1/billing/invoices/{number}/{kind}": BILLS,
    "GET /api/v1/billing/jobs/{job_id}": BILLS,
    "POST /api/v1/billing/properties/{property_id}/periods/{first}/draft": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/decide": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/submit": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/send-back": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/finalize": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/deliver": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/receive": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/object": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/settle": BILLING,
    "POST /api/v1/billing/runs/{property_id}/{first}/{revision}/revise": BILLING,
}
# What stands in paths: nothing that exists, so that whoever is let in changes nothing.
VALUES = {"first": "2026-01-01", "revision": "1", "path:path": "app.js"}
LETTERS = {Role.OPERATOR: "o", Role.CLERK: "c", Role.TECHNICIAN: "t", Role.READER: "r"}
LET_IN = frozenset({200, 202, 204, 303, 404, 409, 422, 503})
# Signing in without anything is refused as such, which isn't about access.
OWN_ANSWERS = {"POST /login": 401}
OFTEN = LimitsSection(
    login_per_account="100000/minute", login_per_address="100000/minute", link_per_address="100000/minute",
    token="100000/minute",
)  # fmt: skip


def routes_of(app: FastAPI) -> list[str]:
    """Return each route as METHOD /template; HEAD goes with GET."""
    found = []
    for route in iter_route_contexts(app.routes):
        methods = getattr(route, "methods", None) or {"GET"}
        path = str(route.path) if getattr(route, "methods", None) else f"{route.path}/{{path:path}}"
        found += [f"{method} {path}" for method in sorted(methods - {"HEAD"})]
    return found


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    directory = tmp_path_factory.mktemp("access")
    ledger = Ledger(f"sqlite:///{directory / 'ledger.sqlite'}", directory, [FakeGateway()])
    with Portal(directory, write_sink_config(directory, ledger.url), limits=OFTEN) as running:
        yield running
    ledger.close()


@pytest.fixture(scope="module")
def client(portal: Portal) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=portal.url, timeout=30, trust_env=False) as client:
        yield client


def ask(client: httpx.Client, route: str, headers: dict[str, str]) -> httpx.Response:
    """Ask for a route with nothing in the body; of a stream only the beginning is read."""
    method, _, path = route.partition(" ")
    for part in path.split("{")[1:]:
        name = part.partition("}")[0]
        path = path.replace("{" + name + "}", VALUES.get(name, "nothing"), 1)
    with client.stream(method, path, headers=headers) as response:
        return response


def by_session(portal: Portal, session_id: str, *, household: bool = False) -> dict[str, str]:
    web = portal.settings.web
    name = cookies.household_name(web) if household else cookies.session_name(web)
    return {"Cookie": f"{name}={session_id}", "X-CSRF-Token": derive_csrf_token(session_id)}


def is_api(route: str) -> bool:
    return route.partition(" ")[2].startswith("/api/")


def judge(route: str, response: httpx.Response, expected: str) -> list[str]:
    """Return what is wrong with an answer: `in`, `unknown` (who are you?) or `denied` was expected."""
    status, to = response.status_code, response.headers.get("location", "")
    to_login = status == 303 and to.startswith("/login")
    if expected == "in":
        if route in ("GET /", "POST /logout"):  # both lead to the form whoever isn't signed in
            right = status == 303
        else:
            right = (status in LET_IN and not to_login) or status == OWN_ANSWERS.get(route)
    elif expected == "denied":
        right = status == 403
    elif is_api(route):
        right = status == 401 and response.headers.get("www-authenticate") == "Bearer"
    else:
        right = to_login or (status == 401 and route.partition(" ")[2].startswith("/household"))
    return [] if right else [f"{route}: expected {expected}, got {status} {to}"]


def test_every_route_has_a_row_and_every_row_a_route(portal: Portal) -> None:
    routes = routes_of(portal.app)
    assert len(routes) == len(set(routes))
    assert sorted(set(routes) - set(TABLE)) == [], "these routes have no row"
    assert sorted(set(TABLE) - set(routes)) == [], "these rows have no route"


@pytest.mark.parametrize("role", Role)
def test_people_are_let_in_by_their_role(portal: Portal, client: httpx.Client, role: Role) -> None:
    wrong = []
    for route, row in TABLE.items():
        # A session for each: some of the routes end it.
        response = ask(client, route, by_session(portal, portal.session(role)))
        of_household = "n" not in row and "h" in row
        expected = "in" if LETTERS[role] in row else "unknown" if of_household else "denied"
        wrong += judge(route, response, expected)
    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_machines_are_let_in_to_the_api_alone(portal: Portal, client: httpx.Client, role: Role) -> None:
    wrong = []
    headers = {"Authorization": f"Bearer {portal.token(role)}"}
    for route, row in TABLE.items():
        allowed = LETTERS[role] in row if is_api(route) else "n" in row
        of_household = "n" not in row and "h" in row
        expected = "in" if allowed else "denied" if is_api(route) and not of_household else "unknown"
        wrong += judge(route, ask(client, route, headers), expected)
    assert wrong == []


@pytest.mark.parametrize("party", ["a1", "of another household"])
def test_households_are_let_in_to_their_own_pages(portal: Portal, client: httpx.Client, party: str) -> None:
    wrong = []
    for route, row in TABLE.items():
        session_id = portal.household_session(HouseholdOf(party=party))
        response = ask(client, route, by_session(portal, session_id, household=True))
        wrong += judge(route, response, "in" if "h" in row else "unknown")
    assert wrong == []


@pytest.mark.parametrize("credential", ["none", "made up", "ended", "token made up", "another's cookie"])
def test_nobody_is_let_in_to_what_is_public_alone(
    portal: Portal, client: httpx.Client, credential: str
) -> None:
    headers: dict[str, str] = {}
    if credential in ("made up", "ended", "another's cookie"):
        session_id = "A" * 43
        if credential == "ended":
            session_id = portal.session(Role.OPERATOR)
            portal.services.accounts.sessions.close(session_id, "operator")
        if credential == "another's cookie":  # a household's session is none of a person
            session_id = portal.household_session(HouseholdOf())
        headers = by_session(portal, session_id)
    wrong = []
    for route, row in TABLE.items():
        if credential == "token made up":
            headers = {"Authorization": "Bearer wlt_" + "A" * 43}
        known_wrong = credential == "token made up" and route == "GET /api/v1/me"
        expected = "in" if "n" in row and not known_wrong else "unknown"
        wrong += judge(route, ask(client, route, headers), expected)
    assert wrong == []


def test_a_one_time_password_opens_nothing_but_the_form_for_another(
    portal: Portal, client: httpx.Client
) -> None:
    accounts = portal.services.accounts
    accounts.users.add("newcomer", Role.OPERATOR, "test")
    wrong = []
    for route, row in TABLE.items():
        session_id = accounts.sessions.open_for_user(accounts.users.named("newcomer").user_no, "")
        response = ask(client, route, by_session(portal, session_id))
        sent_there = response.headers.get("location") == "/account/password"
        if route.endswith("/account/password") or "n" in row:
            wrong += judge(route, response, "in")
        elif "h" in row:
            wrong += judge(route, response, "unknown")
        elif not (sent_there or (is_api(route) and response.status_code == 403)):
            wrong.append(f"{route}: {response.status_code}")
    assert wrong == []


def test_no_unsafe_route_is_done_without_the_sessions_token(portal: Portal, client: httpx.Client) -> None:
    wrong = []
    for route in (each for each in TABLE if not each.startswith("GET ")):
        for role in (Role.OPERATOR, Role.CLERK):
            headers = by_session(portal, portal.session(role))
            for token in ("", "x" * 64, derive_csrf_token(portal.session(role))):
                answer = ask(client, route, {**headers, "X-CSRF-Token": token})
                if answer.status_code != 403:
                    wrong.append(f"{route} with {token[:8]!r}: {answer.status_code}")
    assert wrong == []


def test_the_table_of_permissions_is_as_the_handbook_has_it() -> None:
    p = Permission
    assert {
        Role.OPERATOR: {
            p.FLEET_READ, p.PSEUDONYMS_READ, p.LOCK_WRITE, p.FEED_READ, p.BILLING_READ, p.ACCOUNTS_READ,
            p.ACCOUNTS_WRITE,
        },
        Role.CLERK: {
            p.FLEET_READ, p.PSEUDONYMS_READ, p.BILLING_READ, p.BILLING_WRITE, p.TRANSPONDERS_WRITE, p.LINKS_WRITE
        },
        Role.TECHNICIAN: {p.FLEET_READ, p.PSEUDONYMS_READ, p.LOCK_WRITE},
        Role.READER: {p.FLEET_READ},
    } == GRANTS  # fmt: skip


def test_a_token_has_no_more_than_was_chosen(portal: Portal, client: httpx.Client) -> None:
    token = portal.services.accounts.tokens.add("one thing", Role.OPERATOR, 3, "test", [Permission.FEED_READ])
    headers = {"Authorization": f"Bearer {token}"}
    assert ask(client, "GET /api/v1/live", headers).status_code == 403
    assert ask(client, "GET /api/v1/me", headers).status_code == 200


def test_the_handbook_tells_of_this_table() -> None:
    assert "tests/integration/portal/test_access.py" in Path("docs/portal.md").read_text()

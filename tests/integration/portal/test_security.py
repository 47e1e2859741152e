"""What protects the portal from outside: headers, cookies, forged requests, guessing, names of hosts, bodies."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from portal import cookies
from portal.accounts.secret import derive_csrf_token
from portal.config import LimitsSection
from portal.roles import Role
from tests.support.fake_gateway import FakeGateway
from tests.support.ledger import Ledger
from tests.support.portal import PASSWORD, HouseholdOf, Portal, write_sink_config

OFTEN = LimitsSection(login_per_address="1000/minute", link_per_address="1000/minute")
STRICT = LimitsSection(login_per_account="3/minute", login_per_address="6/minute", link_per_address="2/minute",
                       token="3/minute")  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def sink(directory: Path) -> Iterator[Path]:
    """The configuration of a sink whose ledger is empty."""
    ledger = Ledger(f"sqlite:///{directory / 'ledger.sqlite'}", directory, [FakeGateway()])
    yield write_sink_config(directory, ledger.url)
    ledger.close()


@pytest.fixture(scope="module")
def portal(directory: Path, sink: Path) -> Iterator[Portal]:
    """One portal for all that is only asked."""
    with Portal(directory, sink, limits=OFTEN) as running:
        yield running


@pytest.fixture(scope="module")
def strict_portal(directory: Path, sink: Path) -> Iterator[Portal]:
    with Portal(directory, sink, limits=STRICT) as running:
        yield running


@pytest.fixture
def strict(strict_portal: Portal) -> Portal:
    """A portal with low limits, of which nothing is used up yet."""
    strict_portal.services.limiter.close()
    return strict_portal


def form_token(client: httpx.Client, path: str) -> str:
    """Return the token that a page's forms carry."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', client.get(path).text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "path", ["/login", "/nothing", "/api/v1/me", "/api/v1/nothing", "/static/app.js", "/healthz"]
)
def test_every_answer_tells_browsers_what_is_allowed(portal: Portal, path: str) -> None:
    with portal.browser() as client:
        headers = client.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "server" not in headers
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_by_https_browsers_are_kept_to_it_and_cookies_are_bound_to_the_host(
    directory: Path, sink: Path
) -> None:
    with Portal(directory, sink, public_url="https://portal.example.org") as portal:
        name = portal.add_user(Role.CLERK)
        with portal.browser() as client:
            own = {"Host": "portal.example.org", "Origin": "https://portal.example.org"}
            answer = client.post("/login", data={"name": name, "password": PASSWORD}, headers=own)
    assert answer.status_code == 303
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-portal-session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_on_this_machines_own_address_the_cookie_works_without_tls(portal: Portal) -> None:
    name = portal.add_user(Role.CLERK)
    with portal.browser() as client:
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("portal-session=")
    assert "HttpOnly" in cookie
    assert "Secure" not in cookie
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    ("around", "led_to"),
    [
        ("{url}/fleet?fraction=paper", "/login?next=%2Ffleet%3Ffraction%3Dpaper"),
        ("{url}/", "/login"),
        ("https://evil.example//evil.example/x", "/login"),
        ("", "/login"),
    ],
)
def test_a_part_of_a_page_whose_session_ended_leads_back_to_the_whole_page(
    portal: Portal, around: str, led_to: str
) -> None:
    asked_by_htmx = {"HX-Request": "true", "HX-Current-URL": around.format(url=portal.url)}
    with portal.browser() as client:
        answer = client.get("/fleet", headers=asked_by_htmx)
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, led_to)


def test_signing_in_and_out(portal: Portal) -> None:
    name = portal.add_user(Role.CLERK)
    with portal.browser() as client:
        assert client.get("/account").headers["location"] == "/login?next=%2Faccount"
        answer = client.post("/login", data={"name": name, "password": PASSWORD, "next": "/account"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        page = client.get("/account")
        assert page.status_code == 200
        session = client.cookies["portal-session"]
        out = client.post("/logout", data={"csrf_token": form_token(client, "/account")})
        assert out.headers["location"] == "/login"
        client.cookies.set("portal-session", session, domain="127.0.0.1")
        assert client.get("/account").status_code == 303


def test_signing_in_ends_the_session_that_the_browser_brought(portal: Portal) -> None:
    name = portal.add_user(Role.CLERK)
    old = portal.session(Role.CLERK)
    with portal.browser(Role.CLERK) as client:
        client.cookies.set("portal-session", old, domain="127.0.0.1")
        client.headers["X-CSRF-Token"] = form_token(client, "/account")
        client.post("/login", data={"name": name, "password": PASSWORD})
        assert client.cookies["portal-session"] != old
    assert portal.services.accounts.sessions.viewer(old) is None


def test_unknown_name_and_wrong_password_get_the_same_answer(portal: Portal) -> None:
    name = portal.add_user(Role.CLERK)
    with portal.browser() as client:
        answers = [
            client.post("/login", data={"name": each, "password": "wrong"}) for each in (name, "nobody")
        ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text.replace(name, "") == answers[1].text.replace("nobody", "")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/%0d%0aX: y\r\nSet-Cookie: a=b", "http:evil", "", "/" + "x" * 500,
    ],
)  # fmt: skip
def test_nobody_is_led_elsewhere_after_signing_in(portal: Portal, target: str) -> None:
    with portal.browser(Role.CLERK) as client:
        assert client.get("/login", params={"next": target}).headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_what_another_site_sends_is_refused_even_with_the_token(
    portal: Portal, headers: dict[str, str]
) -> None:
    with portal.browser(Role.OPERATOR) as client:
        for path in ("/language", "/accounts/users", "/login", "/logout"):
            assert client.post(path, headers=headers, data={"language": "de"}).status_code == 403


def test_forms_carry_the_sessions_token(portal: Portal) -> None:
    with portal.browser(Role.OPERATOR) as client:
        token = client.headers.pop("X-CSRF-Token")
        form = {"name": "eva", "role": "reader"}
        assert client.post("/accounts/users", data=form).status_code == 403
        assert client.post("/accounts/users", data={**form, "csrf_token": "0" * 64}).status_code == 403
        assert form_token(client, "/accounts") == token
        made = client.post("/accounts/users", data={**form, "csrf_token": token})
        assert made.status_code == 200
        assert re.search(r'id="secret">[a-z0-9]{5}(-[a-z0-9]{5}){3}<', made.text)


def test_a_write_is_logged_with_how_it_ended(portal: Portal) -> None:
    with portal.browser(Role.OPERATOR) as client:
        client.post("/accounts/users", data={"name": "max", "role": "reader"})
        client.post("/accounts/users", data={"name": "max", "role": "reader"})
        client.post("/accounts/users/max/role", data={"role": "clerk"})
        page = client.get("/accounts/log").text
    logged = [
        (event.actor, event.action, event.subject, event.outcome)
        for event in portal.services.accounts.audit.page()
        if event.action.startswith("POST")
    ][:3]
    assert logged == [
        ("operator", "POST /accounts/users/{name}/role", "name=max", 303),
        ("operator", "POST /accounts/users", "", 409),
        ("operator", "POST /accounts/users", "", 200),
    ]
    assert "POST /accounts/users/{name}/role" in page


def test_guessing_is_slowed_by_account_and_by_address(strict: Portal) -> None:
    name = strict.add_user(Role.CLERK)
    with strict.browser() as client:
        statuses = [
            client.post("/login", data={"name": name, "password": "wrong"}).status_code for _ in range(3)
        ]
        right = client.post("/login", data={"name": name, "password": PASSWORD})
        others = [
            client.post("/login", data={"name": f"n{n}", "password": "x"}).status_code for n in range(3)
        ]
    assert statuses == [401, 401, 401]
    assert right.status_code == 429, "even the right password has to wait"
    assert 0 < int(right.headers["retry-after"]) <= 60
    assert others == [401, 401, 429], "the address has used up its attempts"


def test_an_unknown_account_is_slowed_just_like_a_known_one(strict: Portal) -> None:
    with strict.browser() as client:
        statuses = [
            client.post("/login", data={"name": "nobody", "password": "wrong"}).status_code for _ in range(4)
        ]
    assert statuses == [401, 401, 401, 429]


def test_who_signed_in_begins_anew(strict: Portal) -> None:
    name = strict.add_user(Role.CLERK)
    statuses = []
    for password in ("wrong", "wrong", PASSWORD, "wrong", "wrong"):
        with strict.browser() as client:
            statuses.append(client.post("/login", data={"name": name, "password": password}).status_code)
    assert statuses == [401, 401, 303, 401, 401]


def test_tokens_are_told_what_is_left_and_when_to_come_again(strict: Portal) -> None:
    with strict.machine(Role.READER) as client:
        answers = [client.get("/api/v1/me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers[:3]] == [
        '"token";r=2', '"token";r=1', '"token";r=0',
    ]  # fmt: skip
    assert answers[0].headers["ratelimit-policy"] == '"token";q=3;w=60'
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert 0 < int(answers[3].headers["retry-after"]) <= 60


def test_links_are_not_to_be_guessed(strict: Portal) -> None:
    with strict.browser() as client:
        assert [client.get(f"/h/guess{n}").status_code for n in range(3)] == [404, 404, 429]


def test_a_link_opens_a_session_and_is_in_no_later_address(portal: Portal) -> None:
    h = HouseholdOf()
    secret = portal.services.accounts.links.add(
        h.property_id, h.dwelling, h.party, h.since, None, 30, "clerk"
    )
    with portal.browser() as client:
        answer = client.get(f"/h/{secret}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/household")
        assert secret not in answer.headers["set-cookie"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        viewer = portal.services.accounts.sessions.viewer(client.cookies["portal-household"])
        assert viewer is not None
        assert viewer.household is not None
        assert viewer.household.dwelling == "d1"
        client.headers["X-CSRF-Token"] = derive_csrf_token(client.cookies["portal-household"])
        client.post("/household/leave")
        assert portal.services.accounts.sessions.viewer(client.cookies.get("portal-household") or "") is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.169.254"])
def test_requests_for_foreign_hosts_are_refused(portal: Portal, host: str) -> None:
    with portal.browser() as client:
        assert client.get("/login", headers={"Host": host}).status_code == 400
        assert client.get("/login", headers={"Host": f"localhost:{portal.port}"}).status_code == 200


def test_bodies_are_bounded_whether_their_length_is_told_or_not(portal: Portal) -> None:
    most = portal.settings.web.body_kib * 1024
    with portal.browser() as client:
        told = client.post("/login", content=b"x" * (most + 1))
        untold = client.post("/login", content=(b"x" * 65536 for _ in range(most // 65536 + 1)))
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        read = client.post("/login", content=(b"x" * 65536 for _ in range(most // 65536 + 1)), headers=kind)
    assert (told.status_code, read.status_code) == (413, 413)
    assert untold.status_code in (401, 413, 422), "nobody reads what isn't a form"
    assert told.headers["x-content-type-options"] == "nosniff"


def test_metrics_name_routes_and_never_what_stands_in_paths(portal: Portal) -> None:
    with portal.browser(Role.OPERATOR) as client:
        client.get("/h/a-secret-of-a-link")
        client.get("/made/up/by-somebody")
        client.get("/api/v1/me")
        text = client.get("/metrics").text
    assert 'route="/h/{secret}"' in text
    assert 'route="/api/v1/me"' in text
    assert 'route="none"' in text
    assert "a-secret-of-a-link" not in text
    assert "by-somebody" not in text


def test_it_lives_while_the_ledger_is_away_and_says_so(tmp_path: Path) -> None:
    sink = write_sink_config(tmp_path, f"sqlite:///{tmp_path / 'not-there.sqlite'}")
    with Portal(tmp_path, sink) as portal, portal.browser(Role.OPERATOR) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "accounts": "ok", "ledger": "unavailable"}
        assert client.get("/account").status_code == 200


def test_it_is_ready_once_all_its_databases_answer(portal: Portal) -> None:
    with portal.browser() as client:
        assert client.get("/readyz").json() == {"status": "ok", "accounts": "ok", "ledger": "ok"}


@pytest.mark.parametrize("path", ["/breaks", "/api/v1/breaks"])
def test_what_breaks_inside_tells_nothing_outside(directory: Path, sink: Path, path: str) -> None:
    def break_it(app: FastAPI) -> None:
        app.add_api_route(path, lambda: 1 // int(""), include_in_schema=False)

    with Portal(directory, sink, change_app=break_it) as portal, portal.browser() as client:
        answer = client.get(path)
    assert answer.status_code == 500
    assert "int" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["cache-control"] == "no-store"


def test_problems_of_the_api_are_problem_documents(portal: Portal) -> None:
    with portal.machine(None) as client:
        answer = client.get("/api/v1/me")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401}


def test_a_household_cookie_lasts_and_a_persons_ends_with_the_browser(portal: Portal) -> None:
    assert cookies.household_name(portal.settings.web) == "portal-household"
    h = HouseholdOf()
    secret = portal.services.accounts.links.add(
        h.property_id, h.dwelling, h.party, h.since, None, 30, "clerk"
    )
    name = portal.add_user(Role.CLERK)
    with portal.browser() as client:
        assert "Max-Age=2592000" in client.get(f"/h/{secret}").headers["set-cookie"]
        token = form_token(client, "/login")  # the household's session makes the form carry its token
        signed_in = client.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": token})
        assert "Max-Age" not in signed_in.headers["set-cookie"]


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_numbers_that_no_database_can_hold_are_refused(portal: Portal, number: int) -> None:
    with portal.browser(Role.OPERATOR) as client:
        assert client.get("/accounts/log", params={"before": number}).status_code == 422
    with portal.browser(Role.CLERK) as client:
        row = {"property": "p1", "row": "d1/a1"}
        assert client.post(f"/billing/links/{number}/revoke", data=row).status_code == 422

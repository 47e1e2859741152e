"""Users, sessions, tokens and links: who gets in, for how long, and what ends it."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from portal.accounts.book import Accounts
from portal.accounts.database import Database
from portal.errors import ConfigError, Invalid, NotThere, PortalError, Refused, Unavailable
from portal.roles import GRANTS, Permission, Role, ViewerKind
from tests.support.portal import PASSWORD, HouseholdOf
from tests.unit.portal.conftest import HandClock, open_accounts

SINCE = date(2026, 1, 1)


def add_user(accounts: Accounts, name: str = "ada", role: Role = Role.OPERATOR) -> int:
    accounts.users.change_password(name, accounts.users.add(name, role, "test"), PASSWORD)
    return accounts.users.named(name).user_no


def add_link(accounts: Accounts, days: int = 30) -> str:
    h = HouseholdOf()
    return accounts.links.add(h.property_id, h.dwelling, h.party, h.since, h.until, days, "test")


def test_a_one_time_password_lets_in_but_allows_nothing(either_accounts: Accounts) -> None:
    password = either_accounts.users.add("ada", Role.OPERATOR, "test")
    user = either_accounts.users.check("ada", password)
    assert user is not None
    assert user.must_change
    viewer = either_accounts.sessions.viewer(either_accounts.sessions.open_for_user(user.user_no, ""))
    assert viewer is not None
    assert (viewer.must_change, viewer.permissions) == (True, frozenset())


def test_a_changed_password_is_the_only_one_that_lets_in(either_accounts: Accounts) -> None:
    first = either_accounts.users.add("ada", Role.CLERK, "test")
    either_accounts.users.change_password("ada", first, PASSWORD)
    assert either_accounts.users.check("ada", first) is None
    user = either_accounts.users.check("ada", PASSWORD)
    assert user is not None
    assert not user.must_change


def test_wrong_passwords_are_counted_until_the_right_one_comes(accounts: Accounts) -> None:
    add_user(accounts)
    for _ in range(3):
        assert accounts.users.check("ada", "wrong") is None
    assert accounts.users.named("ada").failed_attempts == 3
    assert accounts.users.check("ada", PASSWORD) is not None
    assert accounts.users.named("ada").failed_attempts == 0


def test_whoever_is_locked_out_does_not_get_in_with_the_right_password(accounts: Accounts) -> None:
    add_user(accounts, "boss")
    add_user(accounts)
    accounts.users.set_disabled("ada", True, "boss")
    assert accounts.users.check("ada", PASSWORD) is None
    accounts.users.set_disabled("ada", False, "boss")
    assert accounts.users.check("ada", PASSWORD) is not None


def test_nobody_is_known_by_another_case_or_not_at_all(accounts: Accounts) -> None:
    add_user(accounts)
    assert accounts.users.check("ADA", PASSWORD) is not None
    assert accounts.users.check("nobody", PASSWORD) is None


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 201, "aaaaaaaaaaaaaaaa", "this is Ada's password", "ababababababab"]
)
def test_a_password_that_is_easy_to_guess_is_refused(accounts: Accounts, password: str) -> None:
    first = accounts.users.add("ada", Role.READER, "test")
    with pytest.raises(Invalid):
        accounts.users.change_password("ada", first, password)
    assert accounts.users.check("ada", first) is not None


def test_the_same_password_again_is_no_change(accounts: Accounts) -> None:
    add_user(accounts)
    with pytest.raises(Invalid, match=r"password\.same"):
        accounts.users.change_password("ada", PASSWORD, PASSWORD)


@pytest.mark.parametrize("name", ["", "a", "Ada", "ada lovelace", "../ada", "ä" * 3, "-ada", "a" * 64])
def test_names_that_could_be_mistaken_are_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(Invalid, match=r"user\.name"):
        accounts.users.add(name, Role.READER, "test")


def test_a_name_is_given_once(either_accounts: Accounts) -> None:
    either_accounts.users.add("ada", Role.READER, "test")
    with pytest.raises(Refused, match=r"user\.exists"):
        either_accounts.users.add("ada", Role.OPERATOR, "test")


@pytest.mark.parametrize("change", ["role", "disable"])
def test_the_last_operator_stays_one(accounts: Accounts, change: str) -> None:
    add_user(accounts)
    with pytest.raises(Refused, match=r"user\.last_operator"):
        if change == "role":
            accounts.users.set_role("ada", Role.READER, "ada")
        else:
            accounts.users.set_disabled("ada", True, "ada")
    assert accounts.users.named("ada").role is Role.OPERATOR
    assert not accounts.users.named("ada").disabled


@pytest.mark.parametrize("change", ["role", "disable", "reset", "password"])
def test_sessions_end_with_what_they_rested_on(either_accounts: Accounts, change: str) -> None:
    accounts = either_accounts
    add_user(accounts, "boss")
    session_id = accounts.sessions.open_for_user(add_user(accounts), "")
    assert accounts.sessions.viewer(session_id) is not None
    match change:
        case "role":
            accounts.users.set_role("ada", Role.READER, "boss")
        case "disable":
            accounts.users.set_disabled("ada", True, "boss")
        case "reset":
            accounts.users.reset_password("ada", "boss")
        case _:
            accounts.users.change_password("ada", PASSWORD, PASSWORD + "!")
    assert accounts.sessions.viewer(session_id) is None


def test_a_session_ends_by_idling(accounts: Accounts, clock: HandClock) -> None:
    session_id = accounts.sessions.open_for_user(add_user(accounts), "")
    for _ in range(3):
        clock.move(minutes=59)
        assert accounts.sessions.viewer(session_id) is not None
    clock.move(minutes=61)
    assert accounts.sessions.viewer(session_id) is None


def test_an_open_stream_does_not_keep_a_session_from_idling(accounts: Accounts, clock: HandClock) -> None:
    session_id = accounts.sessions.open_for_user(add_user(accounts), "")
    for _ in range(3):
        clock.move(minutes=25)
        still = accounts.sessions.viewer(session_id, used=False)
    assert still is None


def test_a_session_ends_by_age_however_much_it_is_used(accounts: Accounts, clock: HandClock) -> None:
    session_id = accounts.sessions.open_for_user(add_user(accounts), "")
    for _ in range(23):
        clock.move(minutes=30)
        assert accounts.sessions.viewer(session_id) is not None
    clock.move(minutes=31)
    assert accounts.sessions.viewer(session_id) is None


def test_sessions_of_a_user_are_bounded_and_the_oldest_makes_room(
    accounts: Accounts, clock: HandClock
) -> None:
    user_no = add_user(accounts)
    ids = []
    for _ in range(21):
        clock.move(seconds=1)
        ids.append(accounts.sessions.open_for_user(user_no, ""))
    alive = [accounts.sessions.viewer(each) is not None for each in ids]
    assert alive == [False] + [True] * 20


def test_signing_out_elsewhere_leaves_the_session_here(accounts: Accounts) -> None:
    user_no = add_user(accounts)
    here, there = (accounts.sessions.open_for_user(user_no, "") for _ in range(2))
    viewer = accounts.sessions.viewer(here)
    assert viewer is not None
    accounts.sessions.close_others("ada", viewer.session_key)
    assert accounts.sessions.viewer(here) is not None
    assert accounts.sessions.viewer(there) is None


def test_sessions_that_ended_are_dropped_at_the_next_start(accounts: Accounts, clock: HandClock) -> None:
    accounts.sessions.open_for_user(add_user(accounts), "")
    clock.move(days=2)
    assert accounts.sessions.prune() == 1
    assert accounts.sessions.prune() == 0


def test_a_token_has_its_roles_permissions(either_accounts: Accounts) -> None:
    token = either_accounts.tokens.add("grafana", Role.READER, 30, "ada")
    viewer = either_accounts.tokens.viewer(token)
    assert viewer is not None
    assert (viewer.kind, viewer.permissions) == (ViewerKind.TOKEN, GRANTS[Role.READER])
    assert either_accounts.tokens.viewer(token + "x") is None


def test_a_token_has_only_those_permissions_that_were_chosen(accounts: Accounts) -> None:
    token = accounts.tokens.add("backend", Role.OPERATOR, 30, "ada", [Permission.FEED_READ])
    viewer = accounts.tokens.viewer(token)
    assert viewer is not None
    assert viewer.permissions == {Permission.FEED_READ}
    with pytest.raises(Invalid, match=r"token\.permissions"):
        accounts.tokens.add("more", Role.READER, 30, "ada", [Permission.LOCK_WRITE])


def test_a_token_ends_by_itself_and_when_it_is_revoked(accounts: Accounts, clock: HandClock) -> None:
    first, second = (accounts.tokens.add(name, Role.READER, 30, "ada") for name in ("first", "second"))
    accounts.tokens.revoke("second", "ada")
    assert accounts.tokens.viewer(first) is not None
    assert accounts.tokens.viewer(second) is None
    clock.move(days=30)
    assert accounts.tokens.viewer(first) is None
    with pytest.raises(NotThere):
        accounts.tokens.revoke("third", "ada")


@pytest.mark.parametrize("days", [0, -1, 731])
def test_no_token_holds_for_ever(accounts: Accounts, days: int) -> None:
    with pytest.raises(Invalid, match=r"token\.days"):
        accounts.tokens.add("eternal", Role.READER, days, "ada")


def test_a_link_opens_its_own_household_and_nothing_else(either_accounts: Accounts) -> None:
    secret = add_link(either_accounts)
    household = either_accounts.links.opened_by(secret)
    assert (household.property_id, household.dwelling, household.party) == ("p1", "d1", "a1")
    viewer = either_accounts.sessions.viewer(either_accounts.sessions.open_for_link(household.link_no, ""))
    assert viewer is not None
    assert (viewer.kind, viewer.household, viewer.permissions) == (
        ViewerKind.HOUSEHOLD,
        household,
        frozenset(),
    )


def test_a_revoked_link_opens_nothing_and_ends_what_it_opened(either_accounts: Accounts) -> None:
    secret = add_link(either_accounts)
    link_no = either_accounts.links.opened_by(secret).link_no
    session_id = either_accounts.sessions.open_for_link(link_no, "")
    either_accounts.links.revoke(link_no, "clerk")
    assert either_accounts.sessions.viewer(session_id) is None
    with pytest.raises(NotThere):
        either_accounts.links.opened_by(secret)


def test_an_expired_link_looks_like_one_that_never_was(accounts: Accounts, clock: HandClock) -> None:
    secret = add_link(accounts, days=3)
    session_id = accounts.sessions.open_for_link(accounts.links.opened_by(secret).link_no, "")
    clock.move(days=3)
    assert accounts.sessions.viewer(session_id) is None
    errors: list[PortalError] = []
    for each in (secret, "never"):
        with pytest.raises(NotThere) as caught:
            accounts.links.opened_by(each)
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])


@pytest.mark.parametrize(
    ("names", "until", "days", "word"),
    [
        (("", "d1", "a1"), None, 30, "link.names"),
        (("p1", "d1", "x" * 201), None, 30, "link.names"),
        (("p1", "d1", "a1"), date(2025, 12, 31), 30, "link.range"),
        (("p1", "d1", "a1"), None, 0, "link.days"),
    ],
)
def test_a_link_to_nothing_is_refused(
    accounts: Accounts, names: tuple[str, str, str], until: date | None, days: int, word: str
) -> None:
    with pytest.raises(Invalid, match=word):
        accounts.links.add(*names, SINCE, until, days, "clerk")


def test_links_are_listed_page_by_page(accounts: Accounts) -> None:
    for _ in range(5):
        add_link(accounts)
    first = accounts.links.page("p1", limit=3)
    second = accounts.links.page("p1", after=first[-1].household.link_no, limit=3)
    assert [each.household.link_no for each in (*first, *second)] == [1, 2, 3, 4, 5]
    assert accounts.links.page("another") == []


def test_every_change_is_logged_with_who_did_it(accounts: Accounts) -> None:
    add_user(accounts, "boss")
    accounts.users.add("ada", Role.READER, "boss")
    accounts.users.set_role("ada", Role.CLERK, "boss")
    accounts.tokens.add("grafana", Role.READER, 30, "boss")
    secret = accounts.links.add("p1", "d1", "a1", SINCE, None, 30, "clerk")
    accounts.links.revoke(1, "clerk")
    logged = [(event.actor, event.action, event.subject) for event in accounts.audit.page()]
    assert logged[:5] == [
        ("clerk", "link revoke", "1"), ("clerk", "link add", "1"), ("boss", "token add", "grafana"),
        ("boss", "user role", "ada"), ("boss", "user add", "ada"),
    ]  # fmt: skip
    assert secret not in str(accounts.audit.page())


def test_the_log_is_read_page_by_page_and_ended_by_outcomes(either_accounts: Accounts) -> None:
    numbers = [either_accounts.audit.begin("ada", f"act {n}") for n in range(5)]
    either_accounts.audit.conclude(numbers[0], 303)
    first = either_accounts.audit.page(limit=3)
    second = either_accounts.audit.page(before=first[-1].event_no, limit=3)
    assert [event.action for event in (*first, *second)] == ["act 4", "act 3", "act 2", "act 1", "act 0"]
    assert second[-1].outcome == 303


def test_the_log_is_kept_for_so_many_days(accounts: Accounts, clock: HandClock) -> None:
    accounts.audit.begin("ada", "old")
    clock.move(days=401)
    accounts.audit.begin("ada", "new")
    accounts.prepare()
    assert [event.action for event in accounts.audit.page()] == ["new"]


def test_no_secret_is_in_the_database(tmp_path: Path, accounts: Accounts) -> None:
    add_user(accounts)
    token = accounts.tokens.add("grafana", Role.READER, 30, "ada")
    secret = add_link(accounts)
    session_id = accounts.sessions.open_for_user(1, "")
    with sqlite3.connect(tmp_path / "accounts.sqlite") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "$argon2id$" in dump
    for each in (PASSWORD, token, secret, session_id):
        assert each not in dump


def test_accounts_of_a_newer_release_are_refused(
    tmp_path: Path, accounts: Accounts, clock: HandClock
) -> None:
    with sqlite3.connect(tmp_path / "accounts.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigError, match="newer than this release"):
        open_accounts(f"sqlite:///{tmp_path / 'accounts.sqlite'}", clock)


def test_a_database_that_is_away_is_said_to_be_away(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'accounts.sqlite'}")
    with pytest.raises(Unavailable, match="accounts' database"), database.reading():
        raise AssertionError("it was opened")
    database.close()

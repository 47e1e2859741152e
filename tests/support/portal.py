"""A running portal on a free port of 127.0.0.1, over a ledger that a test fills; browsers and programs that ask it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from portal import cookies
from portal.accounts.book import utc_now
from portal.accounts.password import Passwords
from portal.accounts.secret import derive_csrf_token
from portal.app import create_app, make_services
from portal.config import AccountsSection, BillingSection, Config, LimitsSection, SinkSection, WebSection
from portal.errors import NotThere
from portal.roles import Role
from portal.serving import Server
from tests.support.ports import free_port

# Hashes that take a millisecond: tests are about who gets in, not about how long guessing takes.
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
PASSWORD = "battery horse staple"


def write_sink_config(directory: Path, ledger_url: str) -> Path:
    """Write a cloud-sink.toml that names a ledger, and return its path."""
    path = directory / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger_url}"\n')
    return path


@dataclass(frozen=True, slots=True)
class HouseholdOf:
    """Whose data a link shows."""

    property_id: str = "p1"
    dwelling: str = "d1"
    party: str = "a1"
    since: date = date(2026, 1, 1)
    until: date | None = None


class Portal:
    """`with Portal(directory, sink_config) as portal: portal.browser(Role.CLERK).get("/fleet")`.

    The services are at hand as `portal.services`, the same that its routes work with.
    """

    def __init__(
        self,
        directory: Path,
        sink_config: Path,
        billing_config: Path | None = None,
        accounts_url: str | None = None,
        limits: LimitsSection | None = None,
        clock: Callable[[], datetime] = utc_now,
        public_url: str | None = None,
        port: int | None = None,
        change_app: Callable[[FastAPI], None] = lambda _app: None,
    ) -> None:
        """`port`: that of another portal which has ended, to take its place.

        `change_app`: what a test adds to the application before it is served.
        """
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = Config(
            web=WebSection(port=self.port, public_url=public_url or self.url),
            sink=SinkSection(config=sink_config, poll_interval_s=0.05),
            billing=BillingSection(config=billing_config),
            accounts=AccountsSection(url=accounts_url or f"sqlite:///{directory / 'portal-accounts.sqlite'}"),
            limits=limits or LimitsSection(),
        )
        self.services = make_services(self.settings, clock, QUICK)
        self.app = create_app(self.services)
        change_app(self.app)
        self._listening = threading.Event()
        self._server = Server(self.app, self.services, lambda _address: self._listening.set())
        self._thread = threading.Thread(target=self._serve, name="portal", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Make the accounts, and return once the port answers."""
        self.services.accounts.prepare()
        self._thread.start()
        if not self._listening.wait(20):
            raise AssertionError(f"the portal doesn't listen: {self._failure!r}")
        return self

    def stop(self) -> None:
        """End as SIGTERM would, and raise what the server died of."""
        self._server.end()
        self._thread.join(30)
        self.services.close()
        if self._thread.is_alive():
            raise AssertionError("the portal doesn't end")
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_user(self, role: Role, name: str | None = None) -> str:
        """Add a user who has changed his one-time password to PASSWORD, unless he is there; return his name."""
        name = name or role.value
        users = self.services.accounts.users
        try:
            users.named(name)
        except NotThere:
            users.change_password(name, users.add(name, role, "test"), PASSWORD)
        return name

    def session(self, role: Role, name: str | None = None) -> str:
        """Return the id of a new session of a user with this role."""
        user = self.services.accounts.users.named(self.add_user(role, name))
        return self.services.accounts.sessions.open_for_user(user.user_no, "test")

    def token(self, role: Role, name: str | None = None) -> str:
        """Return a new API token with all permissions of this role."""
        tokens = self.services.accounts.tokens
        name = name or f"{role.value} {len(tokens.all())}"
        return tokens.add(name, role, 30, "test")

    def household_session(self, household: HouseholdOf) -> str:
        """Return the id of a new session of a household, as its link would open one."""
        links = self.services.accounts.links
        h = household
        secret = links.add(h.property_id, h.dwelling, h.party, h.since, h.until, 30, "test")
        return self.services.accounts.sessions.open_for_link(links.opened_by(secret).link_no, "test")

    @contextmanager
    def browser(self, role: Role | None = None, name: str | None = None) -> Iterator[httpx.Client]:
        """A client that is signed in with this role, and sends the session's token as our own pages do."""
        with self._client() as client:
            if role is not None:
                session_id = self.session(role, name)
                client.cookies.set(cookies.session_name(self.settings.web), session_id, domain="127.0.0.1")
                client.headers["X-CSRF-Token"] = derive_csrf_token(session_id)
            yield client

    @contextmanager
    def household(self, household: HouseholdOf) -> Iterator[httpx.Client]:
        """A client with the session that a household's link opened."""
        with self._client() as client:
            session_id = self.household_session(household)
            client.cookies.set(cookies.household_name(self.settings.web), session_id, domain="127.0.0.1")
            client.headers["X-CSRF-Token"] = derive_csrf_token(session_id)
            yield client

    @contextmanager
    def machine(self, role: Role | None) -> Iterator[httpx.Client]:
        """A client with an API token of this role; without any for None."""
        with self._client() as client:
            if role is not None:
                client.headers["Authorization"] = f"Bearer {self.token(role)}"
            yield client

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve())
        except (OSError, RuntimeError, SystemExit) as error:
            self._failure = error

"""START HERE: the application, its routes, and what stands around them.

    request ─▶ Observer ─▶ SecurityHeaders ─▶ trusted hosts ─▶ body limit ─▶ guard ─▶ route ─▶ require(…) ─▶ answer
               counts      CSP, no-store …     no rebinding     413           CSRF              access.py

To add a page or a part of the API: a module in `portal/pages` or `portal/api` with a `router`, one line below, and a
row for each route in tests/integration/portal/test_access.py.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from portal import answers
from portal.access import guard
from portal.access_keeper import AccessKeeper
from portal.accounts.book import Accounts, utc_now
from portal.accounts.password import Passwords
from portal.api import billing as api_billing
from portal.api import billing_steps as api_billing_steps
from portal.api import feed as api_feed
from portal.api import fleet as api_fleet
from portal.api import household as api_household
from portal.api import live as api_live
from portal.api import locks as api_locks
from portal.api import me as api_me
from portal.api import orders as api_orders
from portal.api import quality as api_quality
from portal.api import sites as api_sites
from portal.api import things as api_things
from portal.api.strictness import check_query
from portal.billing_desk import BillingDesk
from portal.billing_door import BillingDoor
from portal.config import Config
from portal.limiting import Limiter
from portal.live import Hub
from portal.live_source import SinkSource
from portal.metrics import Metrics
from portal.observing import Observer
from portal.pages import (
    account,
    accounts,
    alarms,
    billing,
    billing_papers,
    billing_run,
    billing_steps,
    deeds,
    fleet,
    household,
    household_link,
    household_links,
    language,
    locks,
    login,
    orders,
    probes,
    quality,
    sites,
    start,
    transponders,
)
from portal.route_names import API_PREFIX
from portal.security import SecurityHeaders
from portal.services import Services
from portal.sink_door import SinkDoor
from portal.words.catalog import load_words

API_ROUTERS = (
    api_me.router,
    api_live.router,
    api_fleet.router,
    api_sites.router,
    api_locks.router,
    api_orders.router,
    api_things.router,
    api_quality.router,
    api_feed.router,
    api_billing.router,
    api_billing_steps.router,
    api_household.router,
)
PAGE_ROUTERS = (
    start.router,
    login.router,
    account.router,
    accounts.router,
    household_link.router,
    language.router,
    probes.router,
    fleet.router,
    sites.router,
    locks.router,
    orders.router,
    alarms.router,
    quality.router,
    deeds.router,
    billing.router,
    billing_run.router,
    billing_steps.router,
    billing_papers.router,
    household.router,
    household_links.router,
    transponders.router,
)
_STATIC = Path(__file__).parent / "static"


def make_services(
    settings: Config,
    clock: Callable[[], datetime] = utc_now,
    passwords: Passwords | None = None,
    on_death: Callable[[BaseException], None] = lambda _error: None,
) -> Services:
    """Return what routes work with. ConfigError if it can't work; databases may be away."""
    sink = SinkDoor(settings.sink.config, clock)
    metrics = Metrics()
    billing = None if settings.billing.config is None else BillingDoor(settings.billing.config, clock)
    accounts = Accounts(settings.accounts, clock, passwords)
    return Services(
        settings=settings,
        accounts=accounts,
        sink=sink,
        billing=billing,
        billing_desk=None if billing is None else BillingDesk(billing, clock),
        access=_make_keeper(settings, billing, sink, accounts, clock, metrics, on_death),
        hub=Hub(SinkSource(sink), settings.sink.poll_interval_s, settings.limits, metrics, on_death),
        words=load_words(),
        limiter=Limiter(settings.limits),
        metrics=metrics,
        clock=clock,
    )


def _make_keeper(
    settings: Config,
    billing: BillingDoor | None,
    sink: SinkDoor,
    accounts: Accounts,
    clock: Callable[[], datetime],
    metrics: Metrics,
    on_death: Callable[[BaseException], None],
) -> AccessKeeper | None:
    if billing is None or not settings.access.follow_masterdata or not sink.signs_orders:
        return None
    return AccessKeeper(billing, sink, accounts.held, clock, settings.access.look_every_s, metrics, on_death)


def create_app(services: Services) -> FastAPI:
    """Return the application. The accounts must be prepared; the services are closed by whoever made them."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.hub.start()
        if services.access is not None:
            services.access.start()
        yield
        services.hub.end_streams()

    app = _bare_app(lifespan)
    app.state.services = services
    for router in PAGE_ROUTERS:
        app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    answers.register(app)
    web = services.settings.web
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=web.body_kib * 1024)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=web.allowed_hosts, www_redirect=False)
    app.add_middleware(SecurityHeaders, web=web)
    app.add_middleware(Observer, services=services)
    return app


def _bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    app = FastAPI(
        title="Waste lock portal",
        version=version("wastelock"),
        summary="Fleet, sites, locks, bills and households, as they are now.",
        lifespan=lifespan,
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        openapi_url=f"{API_PREFIX}/openapi.json",
        dependencies=[Depends(guard)],
    )
    for router in API_ROUTERS:
        app.include_router(
            router, prefix=API_PREFIX, responses=answers.PROBLEMS, dependencies=[Depends(check_query)]
        )
    return app


def describe_api() -> dict[str, Any]:
    """Return the OpenAPI document; it depends on no configuration."""
    return _bare_app().openapi()

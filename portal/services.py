"""What routes work with: accounts, doors, words, limits, the live hub. Made at start, found by any request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from portal.access_keeper import AccessKeeper
from portal.accounts.book import Accounts
from portal.billing_desk import BillingDesk
from portal.billing_door import BillingDoor
from portal.config import Config
from portal.errors import NotThere
from portal.limiting import Limiter
from portal.live import Hub
from portal.metrics import Metrics
from portal.sink_door import SinkDoor
from portal.words.catalog import Words


@dataclass(frozen=True, slots=True)
class Services:
    """`clock` gives the time in UTC. `billing` and `billing_desk` are None where the portal is run without bills.

    `access` is None where locks don't get their access lists from here.
    """

    settings: Config
    accounts: Accounts
    sink: SinkDoor
    billing: BillingDoor | None
    billing_desk: BillingDesk | None
    access: AccessKeeper | None
    hub: Hub
    words: dict[str, Words]
    limiter: Limiter
    metrics: Metrics
    clock: Callable[[], datetime]

    @property
    def bills(self) -> BillingDoor:
        """The door to billing; NotThere where there is none."""
        if self.billing is None:
            raise NotThere("this portal runs without billing: [billing] config is not set")
        return self.billing

    @property
    def desk(self) -> BillingDesk:
        """Billing's long work; NotThere where there is none."""
        if self.billing_desk is None:
            raise NotThere("this portal runs without billing: [billing] config is not set")
        return self.billing_desk

    def close(self) -> None:
        """Close everything, in the opposite order of its making."""
        self.hub.close()
        self.limiter.close()
        if self.access is not None:
            self.access.close()
        if self.billing_desk is not None:
            self.billing_desk.close()
        self.sink.close()
        self.accounts.close()


def services_of(request: Request) -> Services:
    """Return the services of the application that answers this request; also a dependency of routes."""
    services: Services = request.app.state.services
    return services

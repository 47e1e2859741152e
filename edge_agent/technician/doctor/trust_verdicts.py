"""What identity and way to the broker look like: certificate, keys, orders, the session. Pure: figures -> findings."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from edge_agent.technician.doctor.findings import Finding, good, notice, trouble

_LAST_PART = 8  # as the agent's own alarm: an eighth of its life
_LATE_RENEWAL = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class CertificateFigures:
    """The certificate in use. `renewal_due_at`: None where nobody renews it; `asked`: the next one is on its way."""

    where: str
    common_name: str
    not_before: datetime
    not_after: datetime
    renewal_due_at: datetime | None = None
    asked: bool = False


def judge_certificate(certificate: CertificateFigures, gateway: str, now: datetime) -> list[Finding]:
    """Return what is to be said of the gateway's certificate."""
    evidence = (
        f"{certificate.where}: for {certificate.common_name}, {certificate.not_before:%Y-%m-%d} to "
        f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
    )
    return [*_certificate(certificate, gateway, now, evidence)] or [
        good("certificate", f"valid until {certificate.not_after:%Y-%m-%d}", evidence)
    ]


def _certificate(
    certificate: CertificateFigures, gateway: str, now: datetime, evidence: str
) -> Iterator[Finding]:
    left, life = certificate.not_after - now, certificate.not_after - certificate.not_before
    by_itself = certificate.renewal_due_at is not None
    renew = (
        "see that `cloud-sink ca run` runs; by file: docs/operations-keys.md"
        if by_itself
        else "issue another one and put it where the configuration says"
    )
    if certificate.common_name != gateway:
        yield trouble(
            "certificate",
            "certificate_of_another",
            f"the certificate is for {certificate.common_name}, not for {gateway}",
            evidence,
            "enrol this gateway under its own name (docs/operations-keys.md)",
        )
    if now < certificate.not_before:
        yield trouble(
            "certificate",
            "certificate_not_yet",
            "the certificate isn't valid yet: this machine's clock is wrong",
            evidence,
            "set the clock: `timedatectl`",
        )
    elif left <= timedelta():
        remedy = "enrol anew with a token (docs/operations-keys.md)" if by_itself else renew
        yield trouble("certificate", "certificate_expired", "the certificate has expired", evidence, remedy)
    elif left < life / _LAST_PART:
        yield trouble(
            "certificate",
            "certificate_expires",
            f"the certificate expires in {left.days} days and isn't renewed",
            evidence,
            renew,
        )
    elif certificate.renewal_due_at is not None and now > certificate.renewal_due_at + _LATE_RENEWAL:
        asked = "asked for, not answered" if certificate.asked else "not asked for yet"
        yield notice(
            "certificate",
            "renewal_late",
            "the certificate should have been renewed by now",
            f"{evidence}; {asked}",
            renew,
        )


class Step(StrEnum):
    """Steps on the way to the broker; what is told is the first that fails."""

    FILES = "files"
    NAME = "name"
    CONNECTION = "connection"
    TLS = "tls"
    CERTIFICATE = "certificate"
    SESSION = "session"
    ACCESS = "access"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """`agent_says`: why the agent has no session; None where it has one, or doesn't run. `failed`: see Step."""

    host: str
    port: int
    failed: Step
    why: str = ""
    is_connected: bool = False
    agent_says: str | None = None
    session_tried: bool = False


_BROKER: dict[Step, tuple[str, str, str]] = {
    Step.FILES: (
        "broker_files",
        "the files for the broker can't be used",
        "see what is said of certificate and rights",
    ),
    Step.NAME: (
        "broker_name_unknown",
        "nobody knows the broker's name",
        "see the network: `ip route`, `resolvectl status`; or name its address in mqtt.host",
    ),
    Step.CONNECTION: (
        "broker_unreachable",
        "the broker can't be reached",
        "see the network, a firewall, the broker itself; pages wait, nothing is lost; without a network: "
        "`edge-agent spool export`",
    ),
    Step.TLS: (
        "broker_not_trusted",
        "the broker's certificate isn't good for this gateway",
        "mqtt.host must be the name in its certificate, ca_file its authority; see both clocks",
    ),
    Step.CERTIFICATE: (
        "certificate_refused",
        "the broker doesn't take this gateway's certificate",
        "revoked, expired, or of another authority: `cloud-sink ca show GATEWAY`, then enrol anew",
    ),
    Step.SESSION: (
        "session_refused",
        "the broker refuses the session",
        "user name, password or certificate aren't what the broker knows; client id and user name are the gateway's id",
    ),
    Step.ACCESS: (
        "access_refused",
        "the broker's access rules don't let this gateway do its work",
        "put the gateway's rules in force: `cloud-sink acl`, then `systemctl reload mosquitto`",
    ),
}


def judge_broker(broker: BrokerFigures) -> Finding:
    """Return what is to be said of the way to the broker."""
    at = f"{broker.host}:{broker.port}"
    if broker.is_connected:
        return good("broker", f"the agent has a session with {at}")
    said = f"; the agent says: {broker.agent_says}" if broker.agent_says else ""
    if broker.failed is Step.NONE:
        if broker.agent_says is not None:
            name, what, remedy = _BROKER[Step.SESSION]
            return trouble(
                "broker",
                name,
                f"{at} lets this command in, but the agent has no session",
                broker.agent_says,
                remedy,
            )
        tried = "a session was opened and closed" if broker.session_tried else "connection only"
        return good("broker", f"{at} answers", tried)
    name, what, remedy = _BROKER[broker.failed]
    if broker.failed is Step.FILES:
        return notice("broker", name, f"{what}, so {at} wasn't tried", f"{broker.why}{said}", remedy)
    return trouble("broker", name, f"{what}: {at}", f"{broker.why}{said}", remedy)


def judge_orders(count: int, unusable: str | None) -> Finding:
    """Return what is to be said of the keys by which orders from the cloud are believed.

    `count`: of those in force; `unusable`: why what the authority stated can't be used.
    """
    if unusable is not None:
        what, _, remedy = unusable.partition("; remedy: ")
        return notice(
            "orders", "order_keys_unusable", "the authority's order keys can't be used", what, remedy
        )
    if count:
        return good("orders", "orders from the cloud are believed", f"{count} key{'s' if count > 1 else ''}")
    return notice(
        "orders",
        "no_order_keys",
        "no order keys: commands and desired states from the cloud are refused",
        "",
        "an enrolled gateway gets them with its certificate (`edge-agent enroll --renew`); else [orders] keys",
    )

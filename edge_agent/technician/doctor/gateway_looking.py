"""Takes the figures of machine, identity and service: from Linux, the files that are configured, and systemd."""

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config
from edge_agent.errors import ConfigError
from edge_agent.identity import IdentityStore
from edge_agent.machine import storage
from edge_agent.machine.measuring import Machine
from edge_agent.machine.sources import Sources
from edge_agent.orders.trust import OrderTrust
from edge_agent.technician.doctor.findings import Finding, good, notice, trouble
from edge_agent.technician.doctor.machine_verdicts import MachineFigures
from edge_agent.technician.doctor.trust_verdicts import CertificateFigures, judge_certificate, judge_orders
from wastelock.enrolment import renewal_due_at

UNIT = "wastelock-edge-agent"
_SYSTEMD = Path("/run/systemd/system")
_SYSTEMCTL_S = 10.0
_RESTARTS_MANY = 3


def measure_machine(config: AgentConfig, clock: GatewayClock, sources: Sources) -> MachineFigures:
    """Return the machine's figures. Whether the disk takes a byte is tried only by who may write there."""
    directory = config.spool.path.parent
    machine = Machine(directory, clock, sources, try_to_write=_try_if_allowed)
    mount = storage.mount_of(directory, sources)
    disks = storage.disks_of(mount.device, sources) if mount else []
    cards = [_card(disk, sources) for disk in disks]
    return MachineFigures(
        str(directory), machine.measure(), mount, next((card for card in cards if card), None)
    )


def look_at_configuration(config: AgentConfig) -> list[Finding]:
    """Return what is wrong with files that the configuration names."""
    try:
        load_config(config.file)
    except ConfigError as error:
        return [_problem(line) for line in str(error).splitlines()]
    return [good("configuration", f"{config.file} is good")]


def look_at_identity(config: AgentConfig, now: datetime) -> list[Finding]:
    """Return what is to be said of certificate and order keys."""
    return [*_certificate(config, now), _orders(config)]


def look_at_service() -> list[Finding]:
    """Return what systemd says of the agent's unit; nothing where systemd doesn't run the machine."""
    if not _SYSTEMD.exists():
        return []
    names = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "Result", "ExecMainStatus")
    command = ["systemctl", "show", UNIT, *(f"--property={name}" for name in names)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return [notice("service", "service_unseen", "systemd can't be asked", str(error))]
    return judge_service(dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line))


def judge_service(unit: dict[str, str]) -> list[Finding]:
    """Return what a unit's properties, as `systemctl show` tells them, mean."""
    evidence = ", ".join(f"{name} {value}" for name, value in unit.items())
    if unit.get("LoadState") != "loaded":
        return [notice("service", "no_service", f"there is no service {UNIT} here", evidence)]
    found = []
    if unit.get("ExecMainStatus") == "78" and unit.get("ActiveState") != "active":
        found.append(
            trouble(
                "service",
                "configuration_refused",
                "the agent doesn't start since its configuration can't work",
                evidence,
                "edge-agent check-config lists what is wrong; then systemctl start it",
            )
        )
    elif unit.get("ActiveState") != "active" and unit.get("UnitFileState") == "enabled":
        found.append(
            trouble(
                "service",
                "service_down",
                "the agent should run, and doesn't",
                evidence,
                f"journalctl -u {UNIT} -n 50 says why; systemctl restart {UNIT}",
            )
        )
    elif unit.get("UnitFileState") != "enabled":
        found.append(
            notice(
                "service",
                "not_enabled",
                "the agent doesn't start with the machine",
                evidence,
                f"systemctl enable {UNIT}",
            )
        )
    if int(unit.get("NRestarts", "0") or 0) > _RESTARTS_MANY:
        found.append(
            trouble(
                "service",
                "restarts",
                "the agent is restarted again and again",
                evidence,
                f"journalctl -u {UNIT}: the end of each run says why",
            )
        )
    return found or [good("service", f"{UNIT} is active", evidence)]


def _problem(line: str) -> Finding:
    """One line of check-config: `FILE: KEY: found; expected …; remedy: …`."""
    what, _, remedy = line.partition("remedy: ")
    what = what.rstrip("; ")
    is_about_rights = "Permission denied" in line or "can't be read" in line or "can't be written" in line
    if is_about_rights and os.geteuid() != 0:
        return notice("configuration", "not_for_this_user", what, "", "run it by sudo to see")
    return trouble("configuration", "configuration", what, "", remedy)


def _certificate(config: AgentConfig, now: datetime) -> Iterator[Finding]:
    gateway = config.gateway.id
    try:
        figures = _identity_figures(config) if config.identity else _file_figures(config)
    except (ConfigError, OSError, ValueError) as error:
        yield notice(
            "certificate",
            "certificate_unseen",
            "the certificate can't be looked at",
            str(error),
            "run it by sudo",
        )
        return
    if figures is not None:
        yield from judge_certificate(figures, gateway, now)
    elif config.identity is not None:
        yield trouble(
            "certificate",
            "not_enrolled",
            "this gateway has no certificate yet",
            str(config.identity.directory),
            "enrol it: `edge-agent enroll` (docs/operations-keys.md)",
        )


def _identity_figures(config: AgentConfig) -> CertificateFigures | None:
    assert config.identity is not None
    store = IdentityStore(config.identity.directory)
    certificate = store.certificate()
    if certificate is None:
        return None
    pending = store.pending()
    return _figures(certificate, store.current, renewal_due_at(certificate), asked=pending is not None)


def _file_figures(config: AgentConfig) -> CertificateFigures | None:
    path = config.mqtt.cert_file
    return None if path is None else _figures(x509.load_pem_x509_certificate(path.read_bytes()), path)


def _figures(
    certificate: x509.Certificate, where: Path, due_at: datetime | None = None, *, asked: bool = False
) -> CertificateFigures:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateFigures(
        str(where),
        str(names[0].value) if names else "nobody",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        due_at,
        asked,
    )


def _orders(config: AgentConfig) -> Finding:
    store = IdentityStore(config.identity.directory) if config.identity is not None else None
    trust = OrderTrust(config.orders.keys, store)
    return judge_orders(len(trust.keys()), trust.trouble)


def _try_if_allowed(directory: Path) -> str | None:
    if not os.access(directory, os.W_OK | os.X_OK):
        return None
    return storage.try_to_write(directory)


def _card(disk: Path, sources: Sources) -> str | None:
    """Return what an SD card says of itself: name and when it was made."""
    if sources.text(disk / "device" / "type") != "SD":
        return None
    name, made = sources.text(disk / "device" / "name"), sources.text(disk / "device" / "date")
    return f"{disk.name}: card {name or '?'}, made {made or '?'}"

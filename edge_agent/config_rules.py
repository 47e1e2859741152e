"""What must hold between keys, and between the configuration and the file system; `load_config` is the one door."""

import os
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge_agent.config import (
    AgentConfig,
    ClockSettings,
    CounterLock,
    GatewaySettings,
    IdentitySettings,
    LocalSettings,
    MetricsSettings,
    MqttSettings,
    OrderSettings,
    ReportingSettings,
    RtuBus,
    SpoolSettings,
)
from edge_agent.config_reading import Draft, Problems, draft_config, read_table
from edge_agent.errors import ConfigError
from wastelock.credentials import credential_path
from wastelock.page import SigningKey
from wastelock.topics import RESERVED_SITES

_MAX_KEY_BYTES = 16 * 1024


def load_config(file: Path, *, key_must_exist: bool = True, check_files: bool = True) -> AgentConfig:
    """Return the whole configuration with absolute paths, or raise one ConfigError that lists every problem.

    `key_must_exist=False` is for `keygen` and `enroll`, which make what is missing; `check_files=False` for whoever
    only looks: a technician may read neither keys nor certificates, and needn't.
    """
    file = file.absolute()
    problems = Problems(file)
    draft = _make_paths_absolute(draft_config(read_table(file), problems), file.parent)
    _check_names(draft, problems)
    _check_buses(draft, problems)
    _check_locks(draft, problems)
    if check_files:
        _check_files(draft, problems, key_must_exist)
    if problems.lines:
        raise ConfigError("\n".join(problems.lines))
    s = draft.sections
    assert isinstance(s["gateway"], GatewaySettings) and isinstance(s["spool"], SpoolSettings)
    assert isinstance(s["mqtt"], MqttSettings) and isinstance(s["clock"], ClockSettings)
    identity = s.get("identity")
    assert identity is None or isinstance(identity, IdentitySettings)
    assert isinstance(s["reporting"], ReportingSettings) and isinstance(s["metrics"], MetricsSettings)
    assert isinstance(s["local"], LocalSettings) and isinstance(s["orders"], OrderSettings)
    return AgentConfig(
        file=file, gateway=s["gateway"], spool=s["spool"], mqtt=s["mqtt"], clock=s["clock"],
        reporting=s["reporting"], metrics=s["metrics"], local=s["local"], orders=s["orders"],
        identity=identity, buses=tuple(draft.buses.values()), locks=tuple(draft.locks.values()),
    )  # fmt: skip


def load_signing_key(path: Path) -> SigningKey:
    """Return the gateway's page-signing key, or raise ConfigError saying what is wrong with the file."""
    try:
        if path.stat().st_size > _MAX_KEY_BYTES:
            raise ConfigError(f"is {path}, which is too large for a key")
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror})") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} doesn't hold an unencrypted private key in PEM") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds a key of another kind")
    return SigningKey(private)


def _make_paths_absolute(draft: Draft, base: Path) -> Draft:
    """Relative paths are relative to the configuration file; keys are where systemd put them, where it did."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")

    def absolute(table: Mapping[str, object]) -> dict[str, object]:
        return {
            key: Path(credential_path(str(base / value), str(base), credentials))
            for key, value in table.items()
            if isinstance(value, Path)
        }

    for name, section in draft.sections.items():
        draft.sections[name] = section.model_copy(
            update=absolute(dict(iter(section)))
        )  # one has a field `keys`
    for index, bus in draft.buses.items():
        draft.buses[index] = bus.model_copy(update=absolute(dict(bus)))
    return draft


def _check_names(draft: Draft, problems: Problems) -> None:
    gateway = draft.sections.get("gateway")
    if isinstance(gateway, GatewaySettings) and gateway.site in RESERVED_SITES:
        problems.add(
            "gateway.site", f"is {gateway.site!r}", "a name that isn't reserved", "choose another site name"
        )


def _check_buses(draft: Draft, problems: Problems) -> None:
    _check_unique(
        {f"buses[{i}].name": b.name for i, b in draft.buses.items()},
        "a name of its own",
        "rename one",
        problems,
    )
    # Symlinks such as /dev/serial/by-id/… may lead to one device by two names: then two arbiters would talk at once.
    devices = {
        f"buses[{i}].device": _real_path(b.device) for i, b in draft.buses.items() if isinstance(b, RtuBus)
    }
    _check_unique(devices, "a serial device of its own", "put all locks of one line on one bus", problems)


def _real_path(path: Path) -> str:
    # Not Path.resolve, which has two sorts of errors for links that lead in a circle or where this user may not look:
    # whether such a device can be used is for the bus to find out.
    try:
        return os.path.realpath(path)
    except OSError:
        return str(path)


def _check_locks(draft: Draft, problems: Problems) -> None:
    locks = draft.locks
    _check_unique(
        {f"locks[{i}].serial": lock.lock for i, lock in locks.items()},
        "a serial number of its own",
        "correct the one that is wrong: see the type plates",
        problems,
    )
    _check_unique(
        {f"locks[{i}].unit": f"unit {lock.unit} on bus {lock.bus}" for i, lock in locks.items()},
        "a unit id of its own on that bus",
        "give one of the controllers another unit id",
        problems,
    )
    names = {bus.name for bus in draft.buses.values()}
    for index, lock in locks.items():
        if lock.bus not in names and draft.buses:
            known = ", ".join(sorted(names))
            problems.add(
                f"locks[{index}].bus",
                f"is {lock.bus!r}",
                f"one of {known}",
                "add the bus or correct the name",
            )
        if isinstance(lock, CounterLock):
            numbers = {
                f"locks[{index}].chambers[{i}].number": str(c.number) for i, c in enumerate(lock.chambers)
            }
            _check_unique(numbers, "a number of its own", "number the chambers 1, 2, …", problems)


def _check_unique(values: Mapping[str, str], expected: str, remedy: str, problems: Problems) -> None:
    seen: dict[str, str] = {}
    for key, value in values.items():
        if value in seen:
            problems.add(key, f"is {value}, as is {seen[value]}", expected, remedy)
        else:
            seen[value] = key


def _check_files(draft: Draft, problems: Problems, key_must_exist: bool) -> None:
    gateway, spool, mqtt = (draft.sections.get(name) for name in ("gateway", "spool", "mqtt"))
    identity = draft.sections.get("identity")
    if isinstance(identity, IdentitySettings) and not os.path.exists(identity.current):  # noqa: PTH110
        mqtt = None  # its files come with the enrolment
        if key_must_exist:
            key_must_exist = False
            problems.add(
                "identity.directory",
                f"{identity.directory} holds no certificate yet",
                "an enrolled gateway",
                "`edge-agent enroll` (docs/operations-keys.md)",
            )
    if isinstance(gateway, GatewaySettings) and key_must_exist:
        _check_signing_key(gateway.signing_key, problems)
    if isinstance(spool, SpoolSettings):
        _check_spool_path(spool.path, problems)
    if isinstance(mqtt, MqttSettings):
        _check_mqtt(mqtt, problems)
    local = draft.sections.get("local")
    if isinstance(local, LocalSettings) and local.socket is not None:
        _check_socket(local.socket, problems)


def _check_signing_key(path: Path, problems: Problems) -> None:
    expected = "an Ed25519 private key in PEM, readable for this user only"
    try:
        load_signing_key(path)
    except ConfigError as error:
        problems.add(
            "gateway.signing_key", str(error), expected, "make one with `edge-agent keygen --config FILE`"
        )
        return
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        problems.add("gateway.signing_key", f"{path} is open to other users", expected, f"chmod 600 {path}")


def _check_spool_path(path: Path, problems: Problems) -> None:
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a directory can't be entered
        problems.add(
            "spool.path", f"{path} is a directory", "the path of a file", f"e.g. {path / 'spool.db'}"
        )
    elif not os.path.isdir(path.parent):  # noqa: PTH112
        problems.add(
            "spool.path", f"{path.parent} isn't there", "a directory that exists", f"mkdir -p {path.parent}"
        )
    elif not os.access(path.parent, os.W_OK | os.X_OK) and not _is_read_only(path.parent):
        problems.add(
            "spool.path", f"{path.parent} can't be written", "a directory this user may write", "chown it"
        )


def _check_socket(path: Path, problems: Problems) -> None:
    if not os.path.isdir(path.parent):  # noqa: PTH112 - as above
        problems.add(
            "local.socket", f"{path.parent} isn't there", "a directory that exists", f"mkdir -p {path.parent}"
        )


def _is_read_only(directory: Path) -> bool:
    """Whether nobody can write there now: the disk's fault, not the configuration's, and a restart may help."""
    return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


def _check_mqtt(mqtt: MqttSettings, problems: Problems) -> None:
    for key in ("password_file", "ca_file", "cert_file", "key_file"):
        path = getattr(mqtt, key)
        if path is not None and not _is_readable_file(path):
            problems.add(
                f"mqtt.{key}",
                f"{path} can't be read",
                "a file readable for this user",
                "correct path or rights",
            )
    if all(path is None or _is_readable_file(path) for path in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file)):
        _check_tls(mqtt, problems)
    for missing, present in (("key_file", "cert_file"), ("cert_file", "key_file"), ("ca_file", "cert_file")):
        if getattr(mqtt, present) is not None and getattr(mqtt, missing) is None:
            problems.add(
                f"mqtt.{missing}",
                "is missing",
                f"a path, since {present} is set",
                f"add it or remove {present}",
            )
    if mqtt.password_file is not None and mqtt.username is None:
        problems.add(
            "mqtt.username", "is missing", "a name, since password_file is set", "use the gateway's id"
        )


def _check_tls(mqtt: MqttSettings, problems: Problems) -> None:
    """Try certificates and key as the connection will, so that a wrong file isn't found out in the field."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if mqtt.ca_file is not None:
        try:
            context.load_verify_locations(mqtt.ca_file)
        except (OSError, ValueError) as error:
            found = f"{mqtt.ca_file} can't be used ({error})"
            problems.add(
                "mqtt.ca_file", found, "certificates in PEM", "check it with `openssl x509 -in FILE -text`"
            )
    if mqtt.cert_file is not None and mqtt.key_file is not None:
        try:
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file, password="")
        except (OSError, ValueError) as error:
            found = f"{mqtt.cert_file} and {mqtt.key_file} can't be used ({error})"
            expected = "a certificate in PEM and its unencrypted private key"
            problems.add("mqtt.cert_file", found, expected, "issue them together, without a passphrase")


def _is_readable_file(path: Path) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)  # noqa: PTH113 - as above

"""The settings: what can stand in the configuration file, and beside each key what is expected and the remedy.

Read by config_reading.py; config_rules.py checks what several keys must agree on and is the door (`load_config`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict

from wastelock.monitoring import Address, parse_address
from wastelock.order_keys import load_order_key
from wastelock.registers import lock_id

MAX_BUSES = 32
MAX_LOCKS = 256


@dataclass(frozen=True, slots=True)
class Rule:
    """Stands beside a field: what is expected of it, and what to do where it isn't so."""

    expected: str
    remedy: str


class Section(BaseModel):
    """Frozen, strict (TOML has types of its own), and no key that isn't known: a typing error must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


_NAME = r"^[A-Za-z0-9._-]{1,64}$"
_FREE_NAME = "1 to 64 characters out of A-Z a-z 0-9 . _ -"
FilePath = Annotated[Path, Strict(False)]
AnswerTimeout = Annotated[
    int,
    Field(ge=20, le=10_000),
    Rule("milliseconds, 20..10000", "200 is what the controller needs; add what the line or network takes"),
]
BusName = Annotated[str, Field(pattern=_NAME), Rule(_FREE_NAME, "give the bus a short name, used in `locks`")]


class GatewaySettings(Section):
    id: Annotated[
        str, Field(pattern=_NAME), Rule(_FREE_NAME, "use the id under which the cloud knows this gateway")
    ]
    site: Annotated[str, Field(pattern=_NAME), Rule(_FREE_NAME, "use the site's id as the cloud knows it")]
    signing_key: Annotated[
        FilePath, Rule("path of the page-signing key", "make one with `edge-agent keygen --config FILE`")
    ]


class SpoolSettings(Section):
    path: Annotated[
        FilePath, Rule("path of the spool's file", "e.g. /var/lib/wastelock/spool.db, on the local disk")
    ]
    max_mib: Annotated[
        int,
        Field(ge=1, le=1_000_000),
        Rule("MiB, 1..1000000", "what the spool may take of the disk, e.g. 512"),
    ] = 512
    keep_days: Annotated[
        float,
        Field(ge=0, le=3650),
        Rule("days, 0..3650", "how long pages stay after the receipt, e.g. 14"),
    ] = 14
    reserve_mib: Annotated[
        int,
        Field(ge=1, le=1024),
        Rule("MiB, 1..1024", "kept free to tidy up with when the disk is full, e.g. 16"),
    ] = 16


class MqttSettings(Section):
    host: Annotated[
        str, Field(min_length=1, max_length=255), Rule("host name or address", "name the broker's host")
    ]
    port: Annotated[int, Field(ge=1, le=65535), Rule("port, 1..65535", "8883 with TLS, 1883 without")] = 8883
    username: (
        Annotated[str, Rule("text", "use the gateway's id, as the broker's access rules expect")] | None
    ) = None
    password_file: Annotated[FilePath, Rule("path", "a file with the password on its first line")] | None = (
        None
    )
    ca_file: (
        Annotated[FilePath, Rule("path", "PEM of the authority that signed the broker's certificate")] | None
    ) = None
    cert_file: (
        Annotated[FilePath, Rule("path", "PEM of the gateway's own certificate (CN = gateway id)")] | None
    ) = None
    key_file: Annotated[FilePath, Rule("path", "PEM of the private key of cert_file")] | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600), Rule("seconds, 5..3600", "e.g. 30")] = 30


class IdentitySettings(Section):
    """With it the gateway's certificate and keys live in one directory, and are renewed from there by themselves."""

    directory: Annotated[
        FilePath, Rule("path of a directory", "e.g. /var/lib/wastelock/identity, writable for the agent")
    ]
    ask_every_s: Annotated[
        int,
        Field(ge=1, le=86_400),
        Rule("seconds, 1..86400", "how often a renewal is asked for until it is answered, e.g. 3600"),
    ] = 3600
    new_signing_key_days: Annotated[
        int,
        Field(ge=0, le=3650),
        Rule(
            "days, 0..3650", "a page-signing key that is older is replaced at a renewal, e.g. 360; 0: never"
        ),
    ] = 360

    @property
    def current(self) -> Path:
        """What is in use: ca.crt, gateway.crt, gateway.key, signing.pem."""
        return self.directory / "current"


class ClockSettings(Section):
    source: Annotated[
        Literal["auto", "ntp", "rtc"],
        Rule(
            '"auto", "ntp" or "rtc"', "leave it out: auto asks the kernel whether the clock is synchronised"
        ),
    ] = "auto"
    set_beyond_s: Annotated[
        int,
        Field(ge=2, le=86_400),
        Rule("seconds, 2..86400", "a controller's clock is set when it is off by more than this, e.g. 30"),
    ] = 30


class ReportingSettings(Section):
    telemetry_interval_s: Annotated[int, Field(ge=1, le=86_400), Rule("seconds, 1..86400", "e.g. 60")] = 60
    state_interval_s: Annotated[int, Field(ge=1, le=86_400), Rule("seconds, 1..86400", "e.g. 300")] = 300


def _is_address(text: str) -> str:
    parse_address(text)
    return text


class MetricsSettings(Section):
    """Without `listen` nothing is served."""

    listen: (
        Annotated[
            str,
            AfterValidator(_is_address),
            Rule(
                "IP address and port", 'e.g. "127.0.0.1:9465"; port 0 takes a free one, which the log tells'
            ),
        ]
        | None
    ) = None

    @property
    def address(self) -> Address | None:
        return None if self.listen is None else parse_address(self.listen)


def _is_order_key(text: str) -> str:
    load_order_key(text)
    return text


class OrderSettings(Section):
    """Whose commands and desired states count, beside the keys that an identity's authority states."""

    keys: Annotated[
        tuple[
            Annotated[str, AfterValidator(_is_order_key)],
            ...,
        ],
        Strict(False),
        Field(max_length=16),
        Rule(
            "a list of at most 16 Ed25519 public keys, base64url (43 characters each)",
            "as `cloud-sink orders-key public` prints them; an enrolled gateway needs none here",
        ),
    ] = ()


class LocalSettings(Section):
    """The local door: how a technician's commands reach the running agent."""

    socket: (
        Annotated[
            FilePath,
            Rule(
                "path of a socket",
                "leave it out: it is made in /run/wastelock, without systemd beside the spool",
            ),
        ]
        | None
    ) = None


class RtuBus(Section):
    name: BusName
    kind: Literal["rtu"]
    device: Annotated[
        FilePath,
        Rule(
            "path of the serial device", "e.g. /dev/serial/by-id/…: other names change when it is replugged"
        ),
    ]
    baudrate: Annotated[
        int, Field(ge=1200, le=921_600), Rule("baud, 1200..921600", "19200 unless set otherwise")
    ] = 19_200
    parity: Annotated[
        Literal["N", "E", "O"],
        Rule('"N", "E" or "O"', "E is the controller's default; a pseudo-terminal takes N only"),
    ] = "E"
    stopbits: Annotated[Literal[1, 2], Rule("1 or 2", "1 with parity, 2 without")] = 1
    answer_timeout_ms: AnswerTimeout = 300


class TcpBus(Section):
    name: BusName
    kind: Literal["tcp"]
    host: Annotated[
        str,
        Field(min_length=1, max_length=255),
        Rule("host name or address", "name the Modbus server's host"),
    ]
    port: Annotated[int, Field(ge=1, le=65535), Rule("port, 1..65535", "502 is usual")] = 502
    answer_timeout_ms: AnswerTimeout = 1000


BusSettings = RtuBus | TcpBus


class CounterChamber(Section):
    """One chamber of a legacy counter: where its cycle register is, and what a cycle is worth."""

    number: Annotated[int, Field(ge=1, le=4), Rule("1..4", "number the chambers from 1")]
    address: Annotated[
        int,
        Field(ge=0, le=65_535),
        Rule("protocol address, 0..65535", "0-based: register 30001 of the manual is 0"),
    ]
    width: Annotated[Literal[16, 32], Rule("16 or 32", "see the counter's manual")]
    word_order: Annotated[
        Literal["high_first", "low_first"],
        Rule('"high_first" or "low_first"', "of a 32-bit register; see the manual"),
    ] = "high_first"
    volume_ml: Annotated[
        int, Field(ge=1, le=65_535), Rule("millilitres, 1..65535", "the chamber's volume, e.g. 5000")
    ]


class _Lock(Section):
    serial: Annotated[
        str,
        Field(pattern=r"^[0-9a-f]{1,16}$"),
        Rule(
            "serial number, 1..16 lower-case hexadecimal digits", 'as on the type plate, in quotes: "1f00a1"'
        ),
    ]
    bus: Annotated[str, Rule("name of a bus in `buses`", "add the bus or correct the name")]
    unit: Annotated[
        int, Field(ge=1, le=247), Rule("unit id, 1..247", "the address that is set at the controller")
    ]
    poll_interval_s: Annotated[
        float, Field(ge=0.1, le=3600), Rule("seconds, 0.1..3600", "how often the lock is visited, e.g. 5")
    ] = 5.0

    @property
    def serial_number(self) -> int:
        return int(self.serial, 16)

    @property
    def lock(self) -> str:
        """The lock's name everywhere outside the bus."""
        return lock_id(self.serial_number)


class JournalLock(_Lock):
    """A controller with a journal, map wlc-1."""

    driver: Literal["wlc-1"] = "wlc-1"


class CounterLock(_Lock):
    """A legacy counter without a journal: its pours are derived from register changes."""

    driver: Literal["counter-1"]
    function: Annotated[
        Literal[3, 4], Rule("3 or 4", "3 holding, 4 input registers; see the counter's manual")
    ]
    chambers: Annotated[
        tuple[CounterChamber, ...],
        Strict(False),
        Field(min_length=1, max_length=4),
        Rule("1..4 chambers", "one table per chamber: number, address, width, volume_ml"),
    ]


LockSettings = JournalLock | CounterLock


class AgentConfig(Section):
    """All settings; every path absolute."""

    file: Path
    gateway: GatewaySettings
    spool: SpoolSettings
    mqtt: MqttSettings
    clock: ClockSettings
    reporting: ReportingSettings
    metrics: MetricsSettings
    local: LocalSettings
    orders: OrderSettings
    identity: IdentitySettings | None
    buses: tuple[BusSettings, ...]
    locks: tuple[LockSettings, ...]

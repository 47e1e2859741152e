"""Every message of the wire contract but the page: pydantic models, frozen; unknown fields are ignored (rule 8).

The AsyncAPI document and the JSON Schemas in docs/contract are made from these models (`wastelock.contract`).
"""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from wastelock.page import JOURNAL_PATTERN, format_instant
from wastelock.registers import LOCK_ID_PATTERN

LockId = Annotated[
    str, Field(pattern=f"^({LOCK_ID_PATTERN})$", description="lock's serial number in lower-case hexadecimal")
]
JournalId = Annotated[str, Field(pattern=f"^{JOURNAL_PATTERN}$", description="UUID of a spool's journal")]
PageNumber = Annotated[int, Field(ge=1, lt=2**63)]
PageRange = tuple[PageNumber, PageNumber]
Instant = Annotated[AwareDatetime, PlainSerializer(format_instant, return_type=str, when_used="json")]
U32 = Annotated[int, Field(ge=0, lt=2**32)]


class Message(BaseModel):
    """Common to all: version 1, frozen, additions don't change `v`."""

    # Else pydantic remembers 16,384 texts of what it read, to share them: hashes, most of them, that never come again.
    model_config = ConfigDict(frozen=True, extra="ignore", cache_strings="keys")

    v: Literal[1] = 1

    def to_json(self) -> bytes:
        """Return the payload as it goes onto the wire."""
        return self.model_dump_json(exclude_none=True).encode()


def _ordered(ranges: tuple[PageRange, ...], what: str) -> None:
    for first, last in ranges:
        if first > last:
            raise ValueError(f"{what}: range {first}..{last} runs backwards")


class Receipt(Message):
    """The sink's word on what of one journal it has durably committed. Retained, so that a gateway finds it on waking.

    All pages up to `committed_through` are in the ledger, and those in `held` beyond it. `head` is the hash of page
    `committed_through` (absent where it is 0): a gateway whose own page of that number has another hash was restored
    from an old copy and must not prune by this receipt. `quarantined` lists pages that came but were not taken.
    """

    journal: JournalId
    committed_through: Annotated[int, Field(ge=0, lt=2**63)]
    head: str | None = None
    held: Annotated[tuple[PageRange, ...], Field(max_length=1000)] = ()
    quarantined: Annotated[tuple[tuple[PageNumber, str], ...], Field(max_length=100)] = ()
    at: Instant

    @model_validator(mode="after")
    def _ranges_run_forwards(self) -> Self:
        _ordered(self.held, "held")
        return self


class ResendRequest(Message):
    """The sink misses these pages of a journal; the gateway sends them again."""

    journal: JournalId
    pages: Annotated[tuple[PageRange, ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _ranges_run_forwards(self) -> Self:
        _ordered(self.pages, "pages")
        return self


class GatewayState(Message):
    """A gateway's birth and its will; retained. `incarnation` counts the agent's starts, so a late will can be told."""

    gateway: str
    online: bool
    incarnation: Annotated[int, Field(ge=0)]
    at: Instant | None = None
    software: str | None = None
    journal: JournalId | None = None
    kid: str | None = None
    oldest_page: int | None = None
    newest_page: int | None = None
    committed_through: int | None = None
    desired_revision: Annotated[
        int | None, Field(ge=1, lt=2**53, description="newest desired state that it has; absent: none")
    ] = None
    locks: tuple[LockId, ...] = ()
    alarms: tuple[str, ...] = ()


class ChamberState(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    number: Annotated[int, Field(ge=1, le=4)]
    volume_ml: Annotated[int, Field(ge=0)]
    register_count: U32
    enabled: bool


class LockState(Message):
    """The lock as reported at the last visit; retained. `unreachable_since` is there only while it doesn't answer."""

    lock: LockId
    driver: str
    at: Instant
    reachable: bool
    unreachable_since: Instant | None = None
    problem: str | None = None
    model: int | None = None
    firmware: str | None = None
    epoch: U32 | None = None
    state: str | None = None
    faults: tuple[str, ...] = ()
    chambers: tuple[ChamberState, ...] = ()
    fill_permille: int | None = None
    battery_mv: int | None = None
    temperature_dc: int | None = None
    clock_status: int | None = None
    clock_offset_s: int | None = None
    access_list_version: U32 | None = None
    access_list_max: Annotated[
        int | None, Field(ge=0, le=0xFFFF, description="most entries that it takes")
    ] = None
    poll_interval_s: Annotated[float | None, Field(description="how often it is visited")] = None
    oldest_seq: U32 | None = None
    newest_seq: U32 | None = None
    confirmed_seq: U32 | None = None
    spooled_seq: U32 | None = None
    unverified_records: int = 0
    overwritten_records: int = 0


class BusStatistics(BaseModel):
    """Counts since the agent's start; `wire_busy_permille` is over the last telemetry interval."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bus: str
    requests: int
    timeouts: int
    late_or_foreign_replies: int
    crc_errors: int
    exceptions: int
    breaker_open_units: tuple[int, ...] = ()
    wire_busy_permille: int | None = None


class MachineHealth(BaseModel):
    """How the gateway's machine is doing; what can't be told is absent. Linux's names and units where it has some."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: Annotated[str | None, Field(max_length=64)] = None
    uptime_s: int | None = None
    load_permille: Annotated[
        int | None, Field(description="load of the last minute for each processor; 1000: all are busy")
    ] = None
    memory_available_bytes: int | None = None
    temperature_dc: Annotated[int | None, Field(description="processor, 0.1 °C")] = None
    undervoltage: Annotated[bool | None, Field(description="now")] = None
    undervoltage_seen: Annotated[bool | None, Field(description="since the agent started")] = None
    disk_total_bytes: int | None = None
    disk_free_permille: int | None = None
    disk_read_only: Annotated[bool | None, Field(description="nothing can be written where the spool is")] = (
        None
    )
    disk_wear_permille: Annotated[
        int | None, Field(description="of its life, as the storage says; 1000: used up")
    ] = None
    disk_written_bytes: Annotated[int | None, Field(description="since the machine started")] = None
    clock_source: Annotated[
        str | None, Field(max_length=32, description="who keeps the clock: timesyncd, chrony, rtc, none …")
    ] = None
    saving: Annotated[
        tuple[str, ...],
        Field(
            max_length=8, description="what the agent does less of for the machine's sake: telemetry, states"
        ),
    ] = ()


class Telemetry(Message):
    """How the gateway is doing. QoS 0, expires after 120 s."""

    gateway: str
    at: Instant
    cpu_permille: int | None = None
    memory_rss_bytes: int | None = None
    disk_free_bytes: int | None = None
    spool_bytes: int
    spool_pages: int
    unsent_pages: int
    oldest_unsent_at: Instant | None = None
    clock: Literal["ntp", "rtc", "unset"]
    machine: MachineHealth | None = None
    buses: tuple[BusStatistics, ...] = ()


class SinkState(Message):
    """The sink's birth and its will; retained."""

    online: bool
    at: Instant | None = None
    software: str | None = None


class IdentityBody(Message):
    """What a gateway asks for: a certificate, and that its page-signing key is put in force (wastelock.enrolment)."""

    gateway: str
    site: str
    csr: Annotated[
        str, Field(max_length=4096, description="PKCS #10 in PEM: a P-256 key, common name = gateway")
    ]
    signing_key: Annotated[
        str, Field(pattern="^[A-Za-z0-9_-]{43}$", description="Ed25519 public key, base64url")
    ]
    made_at: Instant
    token: Annotated[
        str | None, Field(max_length=64, description="at the first time: single-use, made for this gateway")
    ] = None
    serial: Annotated[
        str | None,
        Field(pattern="^[0-9a-f]{1,40}$", description="renewal: certificate that endorses it"),
    ] = None


class IdentityRequest(Message):
    """A body, fixed as text, with proofs over `"wl1-identity\\n" + body`; only who has the keys can have made it."""

    body: Annotated[str, Field(max_length=16_384, description="an identity body as JSON text")]
    proof: Annotated[
        str, Field(pattern="^[A-Za-z0-9_-]{86}$", description="Ed25519, by the page-signing key in the body")
    ]
    endorsement: Annotated[
        str | None,
        Field(
            max_length=128,
            description="ECDSA with SHA-256, base64url of DER, by the key of the certificate in force",
        ),
    ] = None


class IdentityAnswer(Message):
    """The authority's answer: a certificate, or why not. The same request always gets the same certificate."""

    request: Annotated[
        str,
        Field(
            description="SHA-256 of the request's body, base64url; empty: nobody asked, order keys are stated"
        ),
    ]
    at: Instant
    certificate: Annotated[str | None, Field(description="PEM; common name = gateway")] = None
    authority: Annotated[str | None, Field(description="PEM of the certificate that signed it")] = None
    sign_from: Annotated[
        Instant | None, Field(description="from when on sinks know the page-signing key of the request")
    ] = None
    order_keys: Annotated[
        str | None,
        Field(
            max_length=4096, description="whose commands and desired states count: order keys as JSON text"
        ),
    ] = None
    order_keys_proof: Annotated[
        str | None,
        Field(
            max_length=128,
            description='ECDSA with SHA-256 over `"wl1-order-keys\\n" + order_keys`, base64url of DER, by the '
            "key of the authority's certificate",
        ),
    ] = None
    refused: Annotated[
        str | None, Field(description="why there is no certificate, and what to do about it")
    ] = None


class PourData(BaseModel):
    """The `data` of a feed event. `credential` is a pseudonym, never a transponder's number."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    site: str
    lock: LockId
    chamber: int
    volume_ml: Annotated[int, Field(description="the chamber's volume: what is charged")]
    weight_g: Annotated[int | None, Field(description="for plausibility only; null: not weighed")]
    fraction: Annotated[
        str | None, Field(description="kind of waste; null: nobody had described the lock by then")
    ]
    credential: Annotated[str | None, Field(description="the transponder's pseudonym; null: none was used")]
    result: Annotated[int, Field(description="0: complete")]
    clock_quality: Annotated[
        str,
        Field(
            description="how far `time` can be trusted: ntp, rtc, derived, uncertain, lost, never_set (then it is "
            "when the record was read)"
        ),
    ]
    register_count: int = Field(
        alias="register", description="the chamber's cycle register after this pour, modulo 2^32"
    )
    service: Annotated[bool, Field(description="made with a service transponder: no household's")] = False


class FeedEvent(BaseModel):
    """A committed pour for a billing backend: one CloudEvents 1.0 event in structured JSON mode.

    `source` and `id` are its identity: whoever gets them again has this pour already.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    type: Literal["io.wastelock.pour.committed.v1"] = "io.wastelock.pour.committed.v1"
    source: Annotated[str, Field(description="/wl/{site}/{lock}")]
    id: Annotated[str, Field(description="{lock}/{epoch}/{seq}")]
    subject: Annotated[str | None, Field(description="the credential's pseudonym; absent: none was used")] = (
        None
    )
    time: Annotated[Instant, Field(description="when the pour began, by the controller's clock")]
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: Annotated[
        str,
        Field(
            pattern="^[0-9]{1,19}$",
            description="number in the site's feed: from 1, without a gap, in the order of commits",
        ),
    ]
    recordedtime: Annotated[Instant, Field(description="when the ledger committed it")]
    data: PourData

    def to_json(self) -> bytes:
        """Return the event as it goes onto the wire: an absent subject is left out, nulls in `data` stay."""
        absent = {"subject"} if self.subject is None else None
        return self.model_dump_json(by_alias=True, exclude=absent).encode()

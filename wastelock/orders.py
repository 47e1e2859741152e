"""What the cloud orders of locks: commands, desired states, and the keys by which a gateway knows that it is the cloud.

    command        once, soon, and answered: an outcome comes back
    desired state  lasting: the gateway brings its locks there, now and whenever they stray from it

Both are signed like pages, over topic and payload: what is meant for one gateway says nothing to another. Models like
those in messages.py.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wastelock.messages import Instant, LockId, LockState, Message

MOST_ENTRIES = 2048  # of an access list: no controller takes more (design 2)


class Command(Message):
    """One order from the cloud to a lock. Signed like a page; executed at most once, never after `expires_at`.

    Sent again with the next `attempt` as long as its outcome isn't known: then it is answered, not executed, again.
    The same attempt a second time is nobody's order: a replay.
    """

    id: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$", description="never used twice")]
    lock: LockId
    action: Literal[
        "sync_clock",
        "write_access_list",
        "enable_chambers",
        "self_test",
        "clear_faults",
        "reboot",
        "read_now",
    ]
    issued_at: Instant
    expires_at: Instant
    attempt: Annotated[int, Field(ge=1, lt=2**31, description="from 1")] = 1
    enable_mask: Annotated[
        int | None, Field(ge=0, le=15, description="of enable_chambers: bit 0 is chamber 1")
    ] = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.action == "enable_chambers") != (self.enable_mask is not None):
            raise ValueError("enable_mask belongs to enable_chambers, and to nothing else")
        if self.expires_at <= self.issued_at:
            raise ValueError("expires_at must lie after issued_at")
        return self


class CommandOutcome(Message):
    """What became of a command; sent with its correlation data. `accepted` comes first, one of the others last.

    `rejected`: it isn't for this gateway or lock, or can't be done there; `failed`: it was tried. `state`: the lock
    as it was read after it.
    """

    id: Annotated[str, Field(max_length=64)]
    lock: LockId
    outcome: Literal["accepted", "done", "rejected", "expired", "failed"]
    at: Instant
    reason: Annotated[str | None, Field(max_length=500)] = None
    state: LockState | None = None


class OrderKeys(Message):
    """The keys by which the cloud signs commands and desired states; fixed as text within an identity answer.

    A gateway that has a later one ignores an earlier one.
    """

    at: Instant
    keys: Annotated[
        tuple[Annotated[str, Field(pattern="^[A-Za-z0-9_-]{43}$")], ...],
        Field(max_length=16, description="Ed25519 public keys, base64url"),
    ]


class AccessEntry(BaseModel):
    """One transponder in an access list. `blocked`: known, and refused as such."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uid: Annotated[
        str, Field(pattern=r"^[0-9a-f]{1,16}$", description="printed order, lower-case hexadecimal")
    ]
    service: bool = False
    blocked: bool = False


class DesiredLock(BaseModel):
    """What a lock should be; what is absent is left as it is. List and version belong together."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    access_list_version: Annotated[int | None, Field(ge=1, lt=2**32)] = None
    access_list: Annotated[tuple[AccessEntry, ...] | None, Field(max_length=MOST_ENTRIES)] = None
    enable_mask: Annotated[int | None, Field(ge=0, le=15, description="bit 0 is chamber 1")] = None
    poll_interval_s: Annotated[int | None, Field(ge=1, le=3600)] = None

    @model_validator(mode="after")
    def _list_has_a_version(self) -> Self:
        if (self.access_list_version is None) != (self.access_list is None):
            raise ValueError("access_list and access_list_version belong together: give both or none")
        return self


class Desired(Message):
    """Desired state of a gateway's locks; retained, signed like a page. A lower revision than one seen is a replay."""

    revision: Annotated[int, Field(ge=1, lt=2**53, description="rises with each change for this gateway")]
    at: Instant
    locks: dict[LockId, DesiredLock]

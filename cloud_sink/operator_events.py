"""What people decide about sites, locks and gateways: the bodies of operator events. Pure.

    kind          body             about           says
    described     SiteDescription  site            name, address, which property of billing
                  LockDescription  lock            label, place, container, chambers
    lifecycle     Move             lock            planned, commissioning, in service …
    desired       Wish             lock, gateway   what a property should be, until when at the latest
    ordered       Ordered          lock            a command was asked for
    withdrawn     Withdrawn        lock            … and taken back before it was sent
    acknowledged  Acknowledgement  any             somebody has seen this alarm
    note          Note             any             whatever is worth remembering

An event is never changed: a later one of the same subject and kind takes its place.
"""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from cloud_sink.projections.twins.lifecycle import PEOPLE
from wastelock.page import format_instant
from wastelock.registers import LOCK_ID_PATTERN
from wastelock.topics import InvalidTopic, check_name

_LOCK = re.compile(rf"(?:{LOCK_ID_PATTERN})\Z")
Name = Annotated[str, Field(min_length=1, max_length=64)]
Line = Annotated[str, Field(max_length=200)]
Instant = Annotated[AwareDatetime, PlainSerializer(format_instant, return_type=str, when_used="json")]


class SubjectKind(StrEnum):
    """Whom an event is about. A site is named by itself, a lock by its serial number, a gateway as `site/gateway`."""

    SITE = "site"
    LOCK = "lock"
    GATEWAY = "gateway"


class EventKind(StrEnum):
    """What an event does."""

    DESCRIBED = "described"
    LIFECYCLE = "lifecycle"
    DESIRED = "desired"
    ORDERED = "ordered"
    WITHDRAWN = "withdrawn"
    ACKNOWLEDGED = "acknowledged"
    NOTE = "note"


class _Body(BaseModel):
    """Frozen; unknown fields are ignored: a later release may have added some."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_json(self) -> str:
        """Return the body as it is kept."""
        return self.model_dump_json(exclude_none=True)


class SiteDescription(_Body):
    """`property_id`: the name under which billing knows the estate. Coordinates in degrees of WGS 84."""

    name: Line = ""
    street: Line = ""
    city: Line = ""
    property_id: Line = ""
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None

    @model_validator(mode="after")
    def _place_is_whole(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude belong together: give both or none")
        return self


class ChamberDescription(BaseModel):
    """What goes into a chamber, and how much of it at once."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fraction: Name
    volume_ml: Annotated[int, Field(ge=1, le=1_000_000)]


class LockDescription(_Body):
    """`row`, `column`: place on the site's grid, from 1, front left. `container_ml`: what the container holds."""

    label: Line = ""
    site: Annotated[str, Field(min_length=1, max_length=64)]
    property_id: Line = ""
    row: Annotated[int, Field(ge=1, le=99)] | None = None
    column: Annotated[int, Field(ge=1, le=99)] | None = None
    container_ml: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    chambers: dict[Annotated[int, Field(ge=1, le=4)], ChamberDescription] = {}

    @field_validator("site")
    @classmethod
    def _is_site(cls, site: str) -> str:
        return _checked("site", site)

    @model_validator(mode="after")
    def _place_is_whole(self) -> Self:
        if (self.row is None) != (self.column is None):
            raise ValueError("row and column belong together: give both or none")
        return self


class Move(_Body):
    """A step of a lock's lifecycle, to where people can move one."""

    to: Name

    @field_validator("to")
    @classmethod
    def _is_possible(cls, to: str) -> str:
        possible = [state.value for state in PEOPLE.values()]
        if to not in possible:
            raise ValueError(f"{to!r}: expected one of {', '.join(possible)}")
        return to


class WishedProperty(StrEnum):
    """What a lock can be asked to be; the same names as in what it reports."""

    ACCESS_LIST_VERSION = "access_list_version"
    ENABLE_MASK = "enable_mask"
    POLL_INTERVAL_S = "poll_interval_s"
    CLOCK_OFFSET_S = "clock_offset_s"
    FIRMWARE = "firmware"


class Wish(_Body):
    """`value`: what the property should be; of `clock_offset_s` the greatest allowed. None: nothing any more."""

    property: WishedProperty
    value: int | str | None
    deadline_at: Instant | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if self.value is None:
            return self
        if self.property is WishedProperty.FIRMWARE:
            if not isinstance(self.value, str) or not 1 <= len(self.value) <= 32:
                raise ValueError("firmware: expected a version such as 1.4.2")
            return self
        lowest, highest = _RANGES[self.property]
        if not isinstance(self.value, int) or not lowest <= self.value <= highest:
            raise ValueError(f"{self.property}: expected a whole number {lowest}..{highest}")
        return self

    def to_json(self) -> str:
        """Return the body as it is kept; that nothing is wished any more is told."""
        return self.model_dump_json()


_RANGES = {
    WishedProperty.ACCESS_LIST_VERSION: (0, 2**32 - 1),
    WishedProperty.ENABLE_MASK: (0, 15),
    WishedProperty.POLL_INTERVAL_S: (1, 3600),
    WishedProperty.CLOCK_OFFSET_S: (0, 86_400),
}


class Ordered(_Body):
    """A command; what became of it, its gateway tells. `enable_mask`: of `enable_chambers`."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    action: Name
    enable_mask: Annotated[int, Field(ge=0, le=15)] | None = None
    expires_at: Instant


class Withdrawn(_Body):
    """`id`: of a command that wasn't sent yet."""

    id: Annotated[str, Field(min_length=1, max_length=64)]


class Acknowledgement(_Body):
    """`alarm_id`: as the alarm list shows it."""

    alarm_id: Annotated[str, Field(min_length=1, max_length=200)]


class Note(_Body):
    text: Annotated[str, Field(min_length=1, max_length=2000)]


_TYPES: dict[EventKind, tuple[type[_Body], ...]] = {
    EventKind.DESCRIBED: (SiteDescription, LockDescription),
    EventKind.LIFECYCLE: (Move,),
    EventKind.DESIRED: (Wish,),
    EventKind.ORDERED: (Ordered,),
    EventKind.WITHDRAWN: (Withdrawn,),
    EventKind.ACKNOWLEDGED: (Acknowledgement,),
    EventKind.NOTE: (Note,),
}
Body = SiteDescription | LockDescription | Move | Wish | Ordered | Withdrawn | Acknowledgement | Note


def body_of(subject_kind: SubjectKind, kind: EventKind, text: str) -> Body:
    """Return the body of a kept event."""
    match kind:
        case EventKind.DESCRIBED if subject_kind is SubjectKind.SITE:
            return SiteDescription.model_validate_json(text)
        case EventKind.DESCRIBED:
            return LockDescription.model_validate_json(text)
        case EventKind.LIFECYCLE:
            return Move.model_validate_json(text)
        case EventKind.DESIRED:
            return Wish.model_validate_json(text)
        case EventKind.ORDERED:
            return Ordered.model_validate_json(text)
        case EventKind.WITHDRAWN:
            return Withdrawn.model_validate_json(text)
        case EventKind.ACKNOWLEDGED:
            return Acknowledgement.model_validate_json(text)
        case EventKind.NOTE:
            return Note.model_validate_json(text)


def kind_of(body: Body) -> EventKind:
    """Return which kind of event has such a body."""
    return next(kind for kind, types in _TYPES.items() if isinstance(body, types))


def check_subject(kind: SubjectKind, subject: str) -> str:
    """Return the subject's name, or raise ValueError, saying what is expected."""
    match kind:
        case SubjectKind.SITE:
            return _checked("site", subject)
        case SubjectKind.LOCK:
            if _LOCK.match(subject) is None:
                raise ValueError(
                    f"lock {subject!r}: expected its serial number in lower-case hexadecimal: 1f00a1"
                )
        case SubjectKind.GATEWAY:
            site, slash, gateway = subject.partition("/")
            if not slash:
                raise ValueError(f"gateway {subject!r}: expected site/gateway: lindenhof/gw-0001")
            _checked("site", site)
            _checked("gateway", gateway)
    return subject


def _checked(what: str, name: str) -> str:
    try:
        check_name(what, name)
    except InvalidTopic as error:
        raise ValueError(str(error)) from None
    return name

"""Reports and people's decisions -> rows of the twins' tables. Pure; each in the order of its own source.

observation      -> what changed since the report before (twin_values, twin_changes); where a lock's report stands
                    (twin_heard); its fill level (twin_fill)
operator event   -> twin_described, twin_moves, twin_desired, twin_acknowledged; twin_changes
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import Observation
from cloud_sink.ledger.operator_events import OperatorEvent
from cloud_sink.operator_events import (
    Acknowledgement,
    LockDescription,
    Move,
    Note,
    Ordered,
    SiteDescription,
    SubjectKind,
    Wish,
    Withdrawn,
)
from cloud_sink.orders.model import AnsweredCommand
from cloud_sink.projections.twins.judging import own_event
from cloud_sink.projections.twins.lifecycle import LifecycleEvent
from cloud_sink.projections.twins.telling import Values, changed, gateway_properties, lock_properties
from wastelock.messages import GatewayState, LockState, Telemetry

RECORD, REPORT, EVENT = "record", "report", "event"
# What moves little by little: kept as it is now, but each step is no change that anybody wants to read.
_FILL = "fill_permille"
_GATEWAY = "gateway"
_EVERYTHING = ("",)
_BY_STATE = (LifecycleEvent.FAILED, LifecycleEvent.SERVICE_BEGUN)

ChangeRow = tuple[str, str, str, int, str, str, int, str | None, str | None]
"""As twin_changes has it, without its number."""


@dataclass(slots=True)
class Noted:
    """Rows by table, in the order of its columns; of a key that comes twice the last one holds."""

    values: dict[tuple[str, str], tuple[str, str, str, int, int]] = field(default_factory=dict)
    heard: dict[tuple[str, int, int], None] = field(default_factory=dict)
    fill: dict[tuple[str, int], int] = field(default_factory=dict)
    described: dict[tuple[str, str], tuple[str, str, str, int, int]] = field(default_factory=dict)
    moves: list[tuple[str, int, int, str, str, str]] = field(default_factory=list)
    desired: dict[tuple[str, str], tuple[str, str, str, int | None, str, int, int]] = field(
        default_factory=dict
    )
    acknowledged: dict[str, tuple[str, str, int, int]] = field(default_factory=dict)
    changes: list[ChangeRow] = field(default_factory=list)


def subject_of(observation: Observation) -> str:
    """Return under which name twin_values has what a report tells."""
    return observation.lock or f"{observation.site}/{observation.gateway}"


def note_observations(observations: Iterable[Observation], before: Mapping[str, Values]) -> Noted:
    """Return what these reports change. `before`: by subject, the values that held before the first of them."""
    noted = Noted()
    known = {subject: dict(values) for subject, values in before.items()}
    for observation in observations:
        subject, at_ms = subject_of(observation), to_ms(observation.heard_at)
        if isinstance(observation.state, AnsweredCommand):
            noted.changes.append(_answered(observation.state, at_ms, observation.observation_no))
            continue
        number, mine = observation.observation_no, known.setdefault(subject, {})
        if _is_of_no_account(observation, mine):
            continue
        news = _news(observation, mine)
        if isinstance(observation.state, LockState):
            noted.heard[subject, at_ms, number] = None
            if news.get(_FILL):
                noted.fill[subject, at_ms] = int(news[_FILL])
        kind = SubjectKind.GATEWAY if observation.lock is None else SubjectKind.LOCK
        for name, value in news.items():
            mine[name] = value
            noted.values[subject, name] = (subject, name, value, at_ms, number)
            if name != _FILL:
                noted.changes.append((kind.value, subject, name, at_ms, value, REPORT, number, None, None))
    return noted


def _is_of_no_account(observation: Observation, before: Values) -> bool:
    """True if a gateway tells of a lock that it can't reach, and that another one was the last to tell of."""
    state = observation.state
    if not isinstance(state, LockState) or state.reachable:
        return False
    return before.get(_GATEWAY, mine := f"{observation.site}/{observation.gateway}") != mine


def _answered(told: AnsweredCommand, at_ms: int, number: int) -> ChangeRow:
    value = told.outcome if told.reason is None else f"{told.outcome}: {told.reason}"
    name = f"command.{told.action}"
    return (SubjectKind.LOCK.value, told.lock, name, at_ms, value, REPORT, number, None, None)


def _news(observation: Observation, before: Values) -> Values:
    state = observation.state
    if isinstance(state, LockState):
        told = lock_properties(state) | {_GATEWAY: f"{observation.site}/{observation.gateway}"}
        if state.epoch is not None:
            told["condition"] = condition_of(state)
        if state.fill_permille is not None:
            told[_FILL] = str(state.fill_permille)
        # A gateway that has just started knows nothing yet of a lock that doesn't answer.
        lasting = () if state.epoch is not None else tuple(name for name in before if name != "problem")
        return changed(before, told, lasting)
    if isinstance(state, GatewayState):
        if not state.online and state.incarnation < int(before.get("incarnation", "0")):
            return {}  # a late will: the gateway has begun again since
        lasting = ("clock",) if state.online else _EVERYTHING
        return changed(before, gateway_properties(state), lasting)
    if isinstance(state, Telemetry):
        return changed(before, {"clock": state.clock}, _EVERYTHING)
    return {}


def condition_of(state: LockState) -> str:
    """Return what a lock's state means for its lifecycle, and what of: `impaired: container_full`."""
    event = own_event(state.state, state.faults).value
    causes = [*([state.state] if state.state and event in _BY_STATE else []), *sorted(state.faults)]
    return f"{event}: {', '.join(causes)}" if causes and event != LifecycleEvent.RECOVERED else event


def note_events(events: Iterable[OperatorEvent]) -> Noted:
    """Return what these decisions change."""
    noted = Noted()
    for event in events:
        subject, number, at_ms = event.subject, event.event_no, to_ms(event.at)
        body, kind = event.body, event.subject_kind.value
        match body:
            case LockDescription() | SiteDescription():
                value = body.to_json()
                noted.described[kind, subject] = (kind, subject, value, number, at_ms)
                name = "described"
            case Move():
                noted.moves.append((subject, number, at_ms, body.to, event.actor, event.reason))
                name, value = "lifecycle", body.to
            case Wish():
                value = "" if body.value is None else str(body.value)
                deadline_ms = None if body.deadline_at is None else to_ms(body.deadline_at)
                name = body.property.value
                noted.desired[subject, name] = (
                    subject, name, value, deadline_ms, event.actor, at_ms, number,
                )  # fmt: skip
                name = f"desired.{name}"
            case Ordered():
                name, value = f"command.{body.action}", "requested"
            case Withdrawn():
                name, value = "command", "withdrawn"
            case Acknowledgement():
                noted.acknowledged[body.alarm_id] = (body.alarm_id, event.actor, at_ms, number)
                name, value = "acknowledged", body.alarm_id
            case Note():
                name, value = "note", body.text
        noted.changes.append((kind, subject, name, at_ms, value, EVENT, number, event.actor, event.reason))
    return noted

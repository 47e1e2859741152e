"""Reports -> the properties that they tell of, each as text; what changed since the report before. Pure.

A lock's property is as its report has it; each fault is a property of its own, `on` while it is there, and so is each
alarm of a gateway. What moves with each pour or minute (registers, battery, the spool's size) is no property here: the
latest report has it.
"""

from collections.abc import Iterable, Mapping

from wastelock.messages import GatewayState, LockState

ON, GONE = "on", ""
FAULT, ALARM = "fault.", "alarm."

Values = dict[str, str]


def lock_properties(state: LockState) -> Values:
    """Return a lock's properties: what isn't known isn't there."""
    told: dict[str, object] = {
        "reachable": "yes" if state.reachable else "no",
        "problem": state.problem,
        "state": state.state,
        "firmware": state.firmware,
        "epoch": state.epoch,
        "clock_status": state.clock_status,
        "access_list_version": state.access_list_version,
        "enable_mask": enable_mask(state),
        "poll_interval_s": None if state.poll_interval_s is None else f"{state.poll_interval_s:g}",
        "unverified_records": state.unverified_records or None,
        "overwritten_records": state.overwritten_records or None,
        **{f"volume_ml.{chamber.number}": chamber.volume_ml for chamber in state.chambers},
    }
    values = {name: str(value) for name, value in told.items() if value is not None}
    return values | {FAULT + fault: ON for fault in state.faults}


def enable_mask(state: LockState) -> int | None:
    """Return which chambers are enabled, bit 0 is chamber 1; None where the report has no chambers."""
    if not state.chambers:
        return None
    return sum(1 << (chamber.number - 1) for chamber in state.chambers if chamber.enabled)


def gateway_properties(state: GatewayState) -> Values:
    """Return a gateway's properties. A will says only that it is gone: all else stays as it was."""
    told: dict[str, object] = {
        "online": "yes" if state.online else "no",
        "software": state.software,
        "journal": state.journal,
        "incarnation": state.incarnation,
    }
    values = {name: str(value) for name, value in told.items() if value is not None}
    return values | {ALARM + text.partition(":")[0]: ON for text in state.alarms}


def changed(before: Mapping[str, str], now: Values, lasting: Iterable[str] = ()) -> Values:
    """Return the properties that are other than before, GONE where they aren't there any more.

    `lasting`: names, or beginnings of names, of properties that stay as they were where nothing is said of them.
    """
    kept = tuple(lasting)
    gone = {name: GONE for name in before if name not in now and not (kept and name.startswith(kept))}
    return {name: value for name, value in {**gone, **now}.items() if before.get(name, GONE) != value}

"""What a change of a lock's property is called, and its value, in a page's words. What a later release adds is shown as
it is.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from portal.sink_door import Change
from portal.words.catalog import Words
from portal.words.formatting import Formatting

_SAID = ("state", "lifecycle", "connectivity", "clock_status")  # their values are words of groups


def name_change(words: Words, change: Change) -> str:
    """Return what has changed: `fault.chamber_blocked.1` is "Fault: Chamber blocked, chamber 1"."""
    head, _, rest = change.property.partition(".")
    match head:
        case "desired":
            return words.t("changed.desired", property=_known(words, "property", rest))
        case "fault":
            fault, _, chamber = rest.partition(".")
            said = f"{words.t('property.fault')}: {_known(words, 'fault', fault)}"
            return f"{said}, {words.t('lock.chamber')} {chamber}" if chamber else said
        case "command":
            said = words.t("order.one")
            return f"{said}: {_known(words, 'order.action', rest)}" if rest else said
        case "volume_ml":
            return f"{words.t('lock.volume')}, {words.t('lock.chamber')} {rest}"
    return _known(words, "property", change.property)


def tell_value(words: Words, fmt: Formatting, change: Change) -> str:
    """Return what it has become."""
    head, value = change.property.partition(".")[0], change.value
    if not value:
        return words.t("changed.nothing")
    if head == "volume_ml" and value.isdigit():
        return fmt.volume(int(value))
    if head == "enable_mask" and value.isdigit():
        return ", ".join(str(bit + 1) for bit in range(8) if int(value) >> bit & 1) or words.t(
            "changed.nothing"
        )
    if head == "command":
        outcome, colon, reason = value.partition(": ")
        return f"{_known(words, 'order.state', outcome)}{colon}{reason}"
    if head == "described":
        return "; ".join(_described(words, fmt, value)) or value
    if head == "condition":
        event, _, causes = value.partition(": ")
        said = [_cause(words, each) for each in causes.split(", ") if each]
        return f"{_known(words, 'changed.condition', event)}{': ' if said else ''}{', '.join(said)}"
    if head in _SAID:
        return _known(words, head, value)
    return _known(words, f"changed.{head}", value)


def name_chambers(words: Words, mask: int) -> str:
    """Return the chambers of an enable mask: bit 0 is chamber 1."""
    numbers = ", ".join(str(bit + 1) for bit in range(8) if mask >> bit & 1)
    return words.t("order.chamber_list", numbers=numbers) if numbers else words.t("order.no_chamber")


def _cause(words: Words, cause: str) -> str:
    return _known(words, "fault" if words.has(f"fault.{cause}") else "state", cause)


def _described(words: Words, fmt: Formatting, value: str) -> Iterator[str]:
    """Yield what a description says, part by part."""
    try:
        told = msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return
    for name, part in told.items():
        match name, part:
            case "chambers", dict():
                for number, chamber in part.items():
                    match chamber:
                        case {"fraction": str(fraction), "volume_ml": int(volume_ml)}:
                            what = f"{_known(words, 'fraction', fraction)}, {fmt.volume(volume_ml)}"
                            yield f"{words.t('lock.chamber')} {number}: {what}"
            case "container_ml", int():
                yield f"{words.t('changed.described.container_ml')}: {fmt.volume(part)}"
            case _, (str() | int()) if part != "":
                yield f"{_known(words, 'changed.described', name)}: {part}"


def _known(words: Words, group: str, value: str) -> str:
    key = f"{group}.{value}"
    return words.t(key) if words.has(key) else value

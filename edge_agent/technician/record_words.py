"""A journal record in words, for people. Never with a transponder's number: only whether one was used is told."""

from wastelock.record import Flag, Kind, PourResult, Record
from wastelock.registers import Fault

_POURS = {
    PourResult.COMPLETE: "pour complete",
    PourResult.GIVEN_UP: "pour given up",
    PourResult.JAMMED: "pour jammed",
}
_DENIED = {1: "unknown", 2: "blocked"}
_FLAGS = {
    Flag.RETRY_AFTER_JAM: "again after a jam",
    Flag.DEGRADED: "larger chamber, since the smaller one is out of order",
    Flag.RECOVERED: "recovered after a power cut",
    Flag.DERIVED: "derived from a bare counter",
}


def describe_record(record: Record) -> str:
    """Return what a record tells; of a kind that isn't known, its numbers."""
    what = _what(record)
    notes = [text for flag, text in _FLAGS.items() if record.flags & flag]
    return "; ".join([what, *notes])


def _what(record: Record) -> str:
    r = record
    match r.kind:
        case Kind.POUR:
            name = (
                _POURS.get(PourResult(r.result), "")
                if r.result in set(PourResult)
                else f"pour, result {r.result}"
            )
            return f"{name}: chamber {r.chamber}, {r.volume_ml:,} ml{_weight(r)}, register {r.register_after}, {_by(r)}"
        case Kind.ACCESS_DENIED:
            return f"access denied: {_DENIED.get(r.result, f'reason {r.result}')} transponder"
        case Kind.EMPTYING:
            return "container emptied"
        case Kind.CONTAINER_SWAP:
            return "container swapped"
        case Kind.FAULT_RAISED | Kind.FAULT_CLEARED:
            where = f", chamber {r.chamber}" if r.chamber else ""
            return f"fault {'raised' if r.kind == Kind.FAULT_RAISED else 'over'}: {fault_name(r.duration_ds)}{where}"
        case Kind.POWER_UP:
            return f"power-up, boot {r.boot}"
        case Kind.CLOCK_SET:
            return "clock set"
        case Kind.MAINTENANCE:
            return f"maintenance {'ended' if r.result else 'began'}, {_by(r)}"
        case Kind.REGISTER_REPORT:
            return f"register report: chamber {r.chamber}, {r.volume_ml:,} ml, register {r.register_after}"
        case _:
            return f"kind {r.kind}, result {r.result}: not known here, kept as it is"


def fault_name(bit: int) -> str:
    """Return a fault's name as people say it."""
    try:
        return Fault(bit).name.lower().replace("_", " ")
    except ValueError:
        return f"unknown fault {bit}"


def _weight(record: Record) -> str:
    return "" if record.weight_g is None else f", {record.weight_g / 1000:.2f} kg"


def _by(record: Record) -> str:
    if not record.uid:
        return "no transponder"
    return "service transponder" if record.flags & Flag.SERVICE else "a transponder"

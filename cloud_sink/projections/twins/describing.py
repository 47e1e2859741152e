"""A lock for others: as a W3C Web of Things Thing Description 1.1, and its container as a WasteContainer. Pure.

    Thing Description ── properties   GET  locks/{lock}/properties/{name}
                      ├─ actions      POST locks/{lock}/lifecycle …, by whoever may
                      └─ events       GET  live?lock={lock}, server-sent events

Addresses are those of the portal's API, under the description's `base`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloud_sink.operator_events import WishedProperty
from cloud_sink.orders.model import Action
from cloud_sink.projections.twins.lifecycle import PEOPLE, Lifecycle
from cloud_sink.projections.twins.model import LockTwin, SiteSummary
from cloud_sink.projections.twins.terms import BillingImpact, Connectivity, Health
from wastelock.page import format_instant

TD_CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
TD_MEDIA_TYPE = "application/td+json"
_URN = "urn:wastelock:lock:"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Property:
    """One property: what it is, its data schema, and its value in a twin."""

    title: str
    schema: Schema
    value: Callable[[LockTwin], Any]


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _integer(unit: str | None = None, **bounds: int) -> Schema:
    return {"type": "integer", **bounds} | ({"unit": unit} if unit else {})


def _words(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_PERMILLE = _integer("per mille", minimum=0, maximum=1000)
_CHAMBER: Schema = {
    "type": "object",
    "properties": {
        "number": _integer(),
        "fraction": _or_null(_TEXT),
        "volume_ml": _or_null(_integer("ml")),
        "enabled": _or_null({"type": "boolean"}),
        "register": _or_null(_integer()),
    },
}


def _reported(name: str) -> Callable[[LockTwin], Any]:
    return lambda twin: None if twin.reported is None else getattr(twin.reported, name)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)


PROPERTIES: dict[str, _Property] = {
    "state": _Property("State of the controller", _or_null(_TEXT), lambda twin: twin.summary.state),
    "lifecycle": _Property("Lifecycle", _words(*Lifecycle), lambda twin: twin.summary.lifecycle.value),
    "connectivity": _Property(
        "How well it is heard of", _words(*Connectivity), lambda twin: twin.summary.connectivity.value
    ),
    "health": _Property("Health", _words(*Health), lambda twin: twin.summary.health.value),
    "faults": _Property(
        "Faults that are there", {"type": "array", "items": _TEXT}, lambda twin: list(twin.summary.faults)
    ),
    "billing_impact": _Property(
        "What is wrong does this to the bill", _words(*BillingImpact), lambda twin: twin.summary.impact.value
    ),
    "fill_permille": _Property(
        "Fill level of the container", _or_null(_PERMILLE), lambda twin: twin.summary.fill_permille
    ),
    "days_until_full": _Property(
        "Days until the container is full",
        _or_null(_integer("days", minimum=0)),
        lambda twin: twin.days_until_full,
    ),
    "battery_mv": _Property("Battery", _or_null(_integer("mV")), _reported("battery_mv")),
    "temperature_dc": _Property("Temperature", _or_null(_integer("0.1 °C")), _reported("temperature_dc")),
    "clock_offset_s": _Property(
        "Controller's clock, ahead of the gateway's", _or_null(_integer("s")), _reported("clock_offset_s")
    ),
    "firmware": _Property("Firmware", _or_null(_TEXT), _reported("firmware")),
    "access_list_version": _Property(
        "Access list in force", _or_null(_integer(minimum=0)), _reported("access_list_version")
    ),
    "chambers": _Property(
        "Chambers",
        {"type": "array", "items": _CHAMBER},
        lambda twin: [
            {name: getattr(chamber, name) for name in _CHAMBER["properties"]} for chamber in twin.chambers
        ],
    ),
    "completeness_permille": _Property(
        "Records that are here, of those that exist",
        _or_null(_PERMILLE),
        lambda twin: twin.summary.completeness_permille,
    ),
    "pours_today": _Property("Pours today", _integer(minimum=0), lambda twin: twin.summary.pours_today),
    "pours_week": _Property("Pours this week", _integer(minimum=0), lambda twin: twin.summary.pours_week),
    "last_pour_at": _Property(
        "Last pour", _or_null(_INSTANT), lambda twin: _instant(twin.summary.last_pour_at)
    ),
    "last_seen_at": _Property(
        "Last heard of", _or_null(_INSTANT), lambda twin: _instant(twin.summary.last_seen_at)
    ),
}


def property_values(twin: LockTwin) -> dict[str, Any]:
    """Return the value of each property that the Thing Description names, as JSON has it."""
    return {name: each.value(twin) for name, each in PROPERTIES.items()}


def thing_description(twin: LockTwin, api_url: str) -> dict[str, Any]:
    """Return a lock's Thing Description. `api_url`: where the API is, `https://portal.example.org/api/v1/`."""
    lock = twin.summary.lock
    version = (
        {} if twin.reported is None or twin.reported.firmware is None else {"model": twin.reported.firmware}
    )
    return {
        "@context": [TD_CONTEXT, {"htv": "http://www.w3.org/2011/http#"}],
        "@type": "WasteLock",
        "id": _URN + lock,
        "title": twin.summary.label or f"Waste lock {lock}",
        "titles": {"de": f"Müllschleuse {lock}", "en": f"Waste lock {lock}"},
        "description": "Meters waste that is thrown into a container: each pour is one complete cycle of a chamber.",
        "version": {"instance": "1", **version},
        "base": api_url,
        "securityDefinitions": {"token": {"scheme": "bearer", "in": "header", "format": "opaque"}},
        "security": "token",
        "properties": {name: _described(lock, name, each) for name, each in PROPERTIES.items()},
        "actions": _actions(lock),
        "events": _events(lock),
        "forms": [
            {
                "op": "readallproperties",
                "href": f"locks/{lock}/properties",
                "contentType": "application/json",
            }
        ],
        "links": [{"rel": "alternate", "href": f"locks/{lock}", "type": "application/json"}],
    }  # fmt: skip


def _described(lock: str, name: str, told: _Property) -> dict[str, Any]:
    form = {
        "op": "readproperty",
        "href": f"locks/{lock}/properties/{name}",
        "contentType": "application/json",
    }
    return {"title": told.title, "readOnly": True, "observable": False, **told.schema, "forms": [form]}


def _actions(lock: str) -> dict[str, Any]:
    reason = {"type": "string", "minLength": 1, "maxLength": 500}
    return {
        "move": {
            "title": "Move it along its lifecycle",
            "input": {
                "type": "object",
                "properties": {"to": _words(*PEOPLE.values()), "reason": reason},
                "required": ["to", "reason"],
            },
            "safe": False,
            "idempotent": False,
            "forms": [_invoked(f"locks/{lock}/lifecycle", "POST")],
        },
        "note": {
            "title": "Keep a note",
            "input": {
                "type": "object",
                "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 2000}},
                "required": ["text"],
            },
            "safe": False,
            "idempotent": False,
            "forms": [_invoked(f"locks/{lock}/notes", "POST")],
        },
        "desire": {
            "title": "Say what a property should be",
            "uriVariables": {"property": _words(*WishedProperty)},
            "input": {
                "type": "object",
                "properties": {
                    "value": {"oneOf": [_integer(), _TEXT, {"type": "null"}]},
                    "deadline_at": _INSTANT,
                    "reason": reason,
                },
                "required": ["value", "reason"],
            },
            "safe": False,
            "idempotent": True,
            "forms": [_invoked(f"locks/{lock}/desired/{{property}}", "PUT")],
        },
        "command": {
            "title": "Order it to do something once",
            "input": {
                "type": "object",
                "properties": {
                    "action": _words(*Action),
                    "enable_mask": _integer(minimum=0, maximum=15),
                    "ttl_s": _integer("s", minimum=10),
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
                    "reason": reason,
                },
                "required": ["action", "reason"],
            },
            "safe": False,
            "idempotent": False,
            "forms": [_invoked(f"locks/{lock}/commands", "POST")],
        },
    }


def _invoked(href: str, method: str) -> dict[str, Any]:
    return {
        "op": "invokeaction",
        "href": href,
        "contentType": "application/json",
        "htv:methodName": method,
        "response": {"contentType": "application/problem+json"},
    }


def _events(lock: str) -> dict[str, Any]:
    form = {
        "op": "subscribeevent",
        "href": f"live?lock={lock}",
        "subprotocol": "sse",
        "contentType": "text/event-stream",
    }
    return {
        "record": {
            "title": "A record was committed: `complete` if it is a pour that is charged",
            "data": {
                "type": "object",
                "properties": {
                    "epoch": _integer(),
                    "seq": _integer(),
                    "kind": _TEXT,
                    "complete": {"type": "boolean"},
                    "chamber": _integer(),
                    "volume_ml": _integer("ml"),
                    "began_at": _or_null(_INSTANT),
                },
            },
            "forms": [form],
        },
        "twin": {
            "title": "A property became another",
            "data": {
                "type": "object",
                "properties": {"property": _TEXT, "value": _TEXT, "at": _INSTANT, "source": _TEXT},
            },
            "forms": [form],
        },
    }


# What the data model has a word for.
_WASTE_KINDS = {"organic": "organic", "paper": "paper", "glass": "glass", "lightweight_packaging": "plastic"}


def waste_container(twin: LockTwin, site: SiteSummary) -> dict[str, Any] | None:
    """Return a lock's container as Smart Data Models describe one; None while its site has no coordinates.

    The model can't say that a fill level is unknown: then it isn't told, and `status` is what is known of the flap.
    """
    if site.latitude is None or site.longitude is None:
        return None
    summary = twin.summary
    fractions = {chamber.fraction for chamber in twin.chambers if chamber.fraction is not None}
    open_wide = {"flap_open", "door_open"} & set(summary.faults)
    container: dict[str, Any] = {
        "id": f"urn:ngsi-ld:WasteContainer:{summary.lock}",
        "type": "WasteContainer",
        "name": summary.label or summary.lock,
        "serialNumber": summary.lock,
        "location": {"type": "Point", "coordinates": [site.longitude, site.latitude]},
        "category": ["other"],
        "storedWasteOrigin": "household",
        "storedWasteKind": _kind(fractions),
        "binCapacity": twin.container_ml // 1000,
        "status": "lidOpen" if open_wide else "unknown" if summary.state is None else "ok",
        "address": _address(site),
    }
    if summary.fill_permille is not None and twin.reported is not None:
        container["fillingLevel"] = summary.fill_permille / 1000
        container["binLoggedTime"] = format_instant(twin.reported.at)
    if twin.reported is not None and twin.reported.temperature_dc is not None:
        container["temperature"] = twin.reported.temperature_dc / 10
    if twin.balances:
        container["dateLastEmptying"] = format_instant(twin.balances[0].at)
    return container


def _kind(fractions: set[str]) -> str:
    return _WASTE_KINDS.get(next(iter(fractions)), "other") if len(fractions) == 1 else "other"


def _address(site: SiteSummary) -> dict[str, str]:
    told = {"streetAddress": site.street, "addressLocality": site.city}
    return {name: value for name, value in told.items() if value is not None}

"""The wire contract as documents: an AsyncAPI 3.0 document and JSON Schemas, made from the message models themselves.

Pure, as all of wastelock: `build_documents` returns plain values. `make contract` writes them to docs/contract, and a
test holds the kept files against what is built here, so that the published contract can't drift from the code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from wastelock import messages, orders, topics
from wastelock.page import MAX_PAGE_BYTES, MAX_RECORDS, Page

Document = dict[str, Any]
Role = Literal["gateway", "sink", "cloud", "backend"]

CONTRACT_VERSION = "1.3.0"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TELEMETRY_EXPIRY_S = 120
_WILL_DELAY_S = 30

_SIGNATURE = (
    'Signed: Ed25519 over "wl1\\n" + topic + "\\n" + payload, base64url without padding in the user property `sig`; '
    "`kid` names the key: base64url of the first 12 bytes of the SHA-256 of the raw public key."
)


_OF_GATEWAY = topics.GatewayTopics("SITE", "GATEWAY")  # which `_template` makes parameters of


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic: who writes it, who reads it, and how its messages travel."""

    name: str
    address: str
    title: str
    summary: str
    model: type[BaseModel] | type[Page]
    writer: Role
    readers: tuple[Role, ...]
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    signed: bool = False
    correlated: bool = False
    content_type: str = "application/json"


CHANNELS = (
    Channel(
        "page", _OF_GATEWAY.page, "Sealed page",
        f"At most {MAX_RECORDS} records of locks' journals and {MAX_PAGE_BYTES} bytes, numbered without gaps within "
        "the gateway's journal, naming the hash of the page before it. The bytes are fixed for ever and sent again "
        "until a receipt covers them; they never expire.",
        Page, "gateway", ("sink",), signed=True,
    ),
    Channel(
        "result", _OF_GATEWAY.result, "Outcome of a command",
        "Sent with the command's correlation data.",
        orders.CommandOutcome, "gateway", ("cloud",), correlated=True,
    ),
    Channel(
        "telemetry", _OF_GATEWAY.telemetry, "How the gateway is doing",
        "Worth nothing when it is late: QoS 0, and it expires.",
        messages.Telemetry, "gateway", ("sink",), qos=0, expiry_s=_TELEMETRY_EXPIRY_S,
    ),
    Channel(
        "gatewayState", _OF_GATEWAY.gateway_state, "Birth and will of a gateway",
        f"Retained. The will has a delay of {_WILL_DELAY_S} s; `incarnation` tells a will that comes late.",
        messages.GatewayState, "gateway", ("sink", "cloud"), retain=True,
    ),
    Channel(
        "lockState", _OF_GATEWAY.lock_state("LOCK"), "A lock as reported at the last visit",
        "Retained.",
        messages.LockState, "gateway", ("sink", "cloud"), retain=True,
    ),
    Channel(
        "receipt", _OF_GATEWAY.receipt, "What the sink has durably committed of a journal",
        "Retained. A gateway prunes at or below `committed_through` of its own journal, if `head` is the hash of its "
        "own page of that number. Nothing else frees a gateway of a page: no PUBACK, no other message.",
        messages.Receipt, "sink", ("gateway",), retain=True,
    ),
    Channel(
        "resend", _OF_GATEWAY.resend, "Pages that the sink misses",
        "The gateway sends them again.",
        messages.ResendRequest, "sink", ("gateway",),
    ),
    Channel(
        "command", _OF_GATEWAY.command, "Order to a lock",
        "Executed at most once and never after `expires_at`; answered on up/result. The cloud hands it to the broker "
        "with QoS 2, so that a broken connection makes no second copy of an attempt: that would look like a replay.",
        orders.Command, "cloud", ("gateway",), signed=True, correlated=True,
    ),
    Channel(
        "desired", _OF_GATEWAY.desired, "Desired state of a gateway's locks",
        "Retained. Holds transponders' numbers: personal data.",
        orders.Desired, "cloud", ("gateway",), retain=True, signed=True,
    ),
    Channel(
        "identityRequest", _OF_GATEWAY.identity_request, "Request for the next certificate",
        "Sent at two thirds of a certificate's life, over a session that the certificate still in force opened, and "
        "again until it is answered. `body` is an IdentityBody as JSON text: gateway, site, PKCS #10 request, "
        "page-signing key, serial number of the certificate that endorses it.",
        messages.IdentityRequest, "gateway", ("cloud",),
    ),
    Channel(
        "identityAnswer", _OF_GATEWAY.identity_answer, "Certificate, or why there is none",
        "The same request gets the same certificate. The one before stays valid until it expires. Retained is the "
        "newest statement of order keys alone, so that a gateway needn't ask to learn of new ones.",
        messages.IdentityAnswer, "cloud", ("gateway",),
    ),
    Channel(
        "feed", topics.feed("SITE"), "Committed pour",
        "One CloudEvents 1.0 event in structured JSON mode for each complete, verified pour in the ledger; at least "
        "once, in order, not retained. Identity is source and id; `sequence` is contiguous per site, so that a gap "
        "shows. Read again from any number over HTTP: docs/feed.md.",
        messages.FeedEvent, "sink", ("backend",), content_type="application/cloudevents+json",
    ),
    Channel(
        "sinkState", topics.SINK_STATE, "Birth and will of the sink",
        "Retained.",
        messages.SinkState, "sink", ("gateway", "cloud"), retain=True,
    ),
)  # fmt: skip

_PARAMETERS: dict[str, str] = {
    "site": "Housing estate or depot; `sink` and `feed` are reserved",
    "gateway": "The gateway's id: also its user name, client id and its certificate's common name",
    "lock": "The lock's serial number in lower-case hexadecimal, at least six digits",
}


def schema_name(channel: Channel) -> str:
    """Return the file name, without suffix, of the schema of a channel's messages: `gateway-state`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in channel.name)


def build_documents() -> dict[str, Document]:
    """Return all documents of the contract by file name, the AsyncAPI document as `asyncapi`."""
    schemas = {f"schemas/{schema_name(channel)}": _schema(channel) for channel in CHANNELS}
    return {"asyncapi": build_asyncapi(), **schemas}


def build_asyncapi() -> Document:
    """Return the AsyncAPI 3.0 document; payloads refer to the schema files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": dict(_operations()),
        "components": {
            "messages": {channel.name: _message(channel) for channel in CHANNELS},
            "securitySchemes": {
                "certificate": {
                    "type": "X509",
                    "description": "Client certificate; its common name is user name and client id. An access rule "
                    "for each gateway allows it its own topics and no others.",
                }
            },
        },
    }


def _info() -> Document:
    return {
        "title": "Wastelock: custody from the waste lock to the ledger",
        "version": CONTRACT_VERSION,
        "description": (
            "Custody passes from controller to gateway to sink, each step after a commit to disk. The broker is a "
            "wire, never a store: a page is safe when a receipt says so. Additions don't change `v`: readers ignore "
            "fields that they don't know. Instants are UTC as in RFC 3339."
        ),
    }


def _server() -> Document:
    return {
        "host": "broker.example:8883",
        "protocol": "secure-mqtt",
        "protocolVersion": "5.0",
        "description": "MQTT 5; config/mosquitto.conf is one that fits. Sessions set their expiry explicitly.",
        "security": [{"$ref": "#/components/securitySchemes/certificate"}],
    }


def _template(topic: str) -> str:
    """Return a topic that was built for SITE, GATEWAY and LOCK as an address with parameters."""
    return topic.replace("SITE", "{site}").replace("GATEWAY", "{gateway}").replace("LOCK", "{lock}")


def _channel(channel: Channel) -> Document:
    address = _template(channel.address)
    made: Document = {
        "address": address,
        "title": channel.title,
        "description": channel.summary,
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
    }
    parameters = {
        name: {"description": text} for name, text in _PARAMETERS.items() if f"{{{name}}}" in address
    }
    return {**made, "parameters": parameters} if parameters else made


def _operations() -> Iterator[tuple[str, Document]]:
    """Yield what each role does, from its own point of view: `gatewaySendsPage`, `sinkReceivesPage` …"""
    for channel in CHANNELS:
        title = channel.name[0].upper() + channel.name[1:]
        yield f"{channel.writer}Sends{title}", _operation(channel, "send", channel.writer)
        for reader in channel.readers:
            yield f"{reader}Receives{title}", _operation(channel, "receive", reader)


def _operation(channel: Channel, action: Literal["send", "receive"], role: Role) -> Document:
    binding: Document = {"qos": channel.qos, "bindingVersion": "0.2.0"}
    if action == "send":
        binding["retain"] = channel.retain
        if channel.expiry_s is not None:
            binding["messageExpiryInterval"] = channel.expiry_s
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.title,
        "tags": [{"name": role}],
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{channel.name}"}],
        "bindings": {"mqtt": binding},
    }


def _message(channel: Channel) -> Document:
    made: Document = {
        "name": channel.name,
        "title": channel.title,
        "summary": channel.summary,
        "contentType": channel.content_type,
        "payload": {"$ref": f"./schemas/{schema_name(channel)}.json"},
    }
    if channel.signed:
        made["description"] = _SIGNATURE
        made["headers"] = {
            "type": "object",
            "description": "MQTT user properties",
            "required": ["kid", "sig"],
            "properties": {
                "kid": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16}$"},
                "sig": {"type": "string", "pattern": "^[A-Za-z0-9_-]{86}$"},
            },
        }
    binding: Document = {"bindingVersion": "0.2.0"}
    if channel.content_type != "application/json":
        binding["contentType"] = channel.content_type
    if channel.correlated:
        binding["correlationData"] = {"type": "string", "description": "chosen by who sends the command"}
    if len(binding) > 1:
        made["bindings"] = {"mqtt": binding}
    return made


def _schema(channel: Channel) -> Document:
    """Return the JSON Schema of a channel's payload. Fields that it doesn't name are allowed (contract rule 8)."""
    model = channel.model
    if issubclass(model, BaseModel):
        schema = model.model_json_schema(by_alias=True)
        if issubclass(model, messages.Message):  # has a default in the code and is always on the wire
            schema["required"] = ["v", *schema.get("required", [])]
        elif model is messages.FeedEvent:
            schema["required"] = ["specversion", "type", "datacontenttype", *schema["required"]]
    else:
        schema = msgspec.json.schema(model)
    return {"$schema": _DIALECT, "$id": f"urn:wastelock:contract:1:{schema_name(channel)}", **schema}

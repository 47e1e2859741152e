"""A message on up/result -> an outcome that may be believed, or why not. Pure: no database, no network."""

from pydantic import ValidationError

from cloud_sink.checking import Message
from cloud_sink.keys import KeyRing
from cloud_sink.ledger.command_sending import Answer
from wastelock.orders import CommandOutcome
from wastelock.page import signature_holds
from wastelock.topics import InvalidTopic, parse_gateway_topic

_BYTES_MAX = 64 * 1024


class NoAnswer(ValueError):
    """This isn't an outcome that its gateway can have sent: the message says what doesn't hold."""


def check_answer(message: Message, keys: KeyRing) -> Answer:
    """Return what a gateway answered, or raise NoAnswer."""
    try:
        topic = parse_gateway_topic(message.topic)
    except InvalidTopic as error:
        raise NoAnswer(str(error)) from None
    if len(message.payload) > _BYTES_MAX:
        raise NoAnswer(f"more than {_BYTES_MAX} bytes")
    if message.kid is None or message.sig is None:
        raise NoAnswer("no signature")
    public = keys.gateways.get((topic.site, topic.gateway), {}).get(message.kid)
    if public is None:
        raise NoAnswer("unknown gateway or key")
    if not signature_holds(public, message.topic, message.payload, message.sig):
        raise NoAnswer("bad signature")
    try:
        outcome = CommandOutcome.model_validate_json(message.payload)
    except ValidationError as error:
        raise NoAnswer(f"not an outcome: {error.error_count()} fields don't hold") from None
    return Answer(
        topic.site, topic.gateway, outcome, message.received_at, message.kid, message.sig, message.payload
    )

"""What crosses to a checking process and back is the same on the other side."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.checker_wire import (
    Answers,
    Messages,
    NewKeys,
    decode_reply,
    decode_request,
    encode,
    give_answer,
    give_keys,
    take_answer,
    take_keys,
)
from cloud_sink.checking import CheckedPage, Message, Reason, Rejected, check_message
from cloud_sink.keys import KeyRing
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import load_keys, message, write_keys

KEY = bytes(range(16))


def across(keys: KeyRing, before: KeyRing | None = None) -> KeyRing:
    given = decode_request(encode(give_keys(keys)))
    assert isinstance(given, NewKeys)
    return take_keys(given, before)


def check_there(messages: list[Message], keys: KeyRing) -> list[CheckedPage | Rejected]:
    """Check messages as a checking process does, its answers and questions being bytes in between."""
    asked = decode_request(encode(Messages(messages)))
    assert isinstance(asked, Messages)
    assert asked.messages == messages
    told = decode_reply(encode(Answers([give_answer(check_message(item, keys)) for item in asked.messages])))
    assert isinstance(told, Answers)
    return [take_answer(*pair) for pair in zip(messages, told.answers, strict=True)]


def test_keys_are_the_same_on_the_other_side(tmp_path: Path) -> None:
    first, second = FakeGateway("gw-0001", seed=1), FakeGateway("gw-0002", seed=2)
    keyed, other = FakeLock(0x1F00A1, epoch=3, key=KEY), FakeLock(0x1F00A2, key=bytes(16))
    write_keys(tmp_path, [first, second], [keyed, other])
    keys = load_keys(tmp_path)
    there = across(keys)
    assert there.gateways == keys.gateways
    assert there.pseudonyms.of(77) == keys.pseudonyms.of(77)
    assert sorted(there.locks) == ["1f00a1", "1f00a2"]
    assert there.mac_key("1f00a1", 2) is None
    raw = bytes(44)
    for lock, epoch in (("1f00a1", 3), ("1f00a2", 1)):
        ours, theirs = keys.mac_key(lock, epoch), there.mac_key(lock, epoch)
        assert ours is not None and theirs is not None
        assert ours.tags([raw], 1, epoch) == theirs.tags([raw], 1, epoch)


def test_pseudonyms_stay_warm_while_their_key_stays(tmp_path: Path) -> None:
    write_keys(tmp_path, [FakeGateway()])
    keys = load_keys(tmp_path)
    before = across(keys)
    assert across(keys, before).pseudonyms is before.pseudonyms


def test_answers_are_what_checking_here_would_have_said(tmp_path: Path) -> None:
    gateway, stranger = FakeGateway(), FakeGateway("gw-0009", seed=9)
    lock, keyed = FakeLock(), FakeLock(0x1F00A2, epoch=3, key=KEY)
    forger = FakeLock(0x1F00A2, epoch=3, key=bytes(16))
    write_keys(tmp_path, [gateway], [keyed])
    keys = load_keys(tmp_path)
    good = gateway.seal([*lock.pours(3), keyed.page_record(keyed.record(uid=0)), *forger.pours(1)])
    torn = gateway.seal([lock.page_record(lock.record(), unverified=True)])
    unknown = gateway.sign(good.payload.replace(b'"v":1', b'"v":9', 1))
    messages = [
        message(good), message(torn), message(unknown), message(stranger.seal(lock.pours(1))),
        message(good, sig="A" * 86),
        message(good, kid=None), message(gateway.sign(b"{}")), message(good, topic="elsewhere"),
        message(good, payload=bytes(300_000)),
    ]  # fmt: skip
    results = [check_message(item, keys) for item in messages]
    assert check_there(messages, across(keys)) == results
    assert [type(result).__name__ for result in results[:4]] == ["CheckedPage"] * 3 + ["Rejected"]
    reasons = {result.reason for result in results if isinstance(result, Rejected)}
    assert reasons == set(Reason) - {Reason.FOREIGN_PAGE, Reason.UNKNOWN_KEY, Reason.REFUSED}


@given(
    st.binary(max_size=60),
    st.none() | st.text(max_size=20),
    st.none() | st.text(max_size=20),
    st.text(max_size=20),
)
def test_whatever_strangers_send_crosses(
    payload: bytes, kid: str | None, sig: str | None, topic: str
) -> None:
    keys = KeyRing({}, {}, None)  # type: ignore[arg-type]  # no page gets so far that a pseudonym is made
    item = message(FakeGateway().sign(payload), topic=topic, kid=kid, sig=sig)
    assert check_there([item], keys) == [check_message(item, keys)]

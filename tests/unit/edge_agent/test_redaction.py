"""What is taken out of a bundle: any transponder's number in any spelling, wherever it stands; and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.technician.bundle.redaction import SECRET, TRANSPONDER, Redaction

UID = 0xE004_0123_4567_89AB
WORDS = st.text(alphabet="ghijklmnopqrstuvwxyz ,;=\n", max_size=12)


def ways(uid: int) -> list[str]:
    digits = f"{uid:x}"
    pairs = uid.to_bytes(-(-uid.bit_length() // 8), "big")
    return [
        digits, digits.upper(), str(uid), f"{uid:016x}", f"0x{digits}", pairs.hex(":"), pairs.hex("-").upper(),
        pairs[::-1].hex(), pairs[::-1].hex(" "), f"aa{uid:016x}bb",
    ]  # fmt: skip


@given(uid=st.integers(0x0100_0000, 2**64 - 1), before=WORDS, after=WORDS, way=st.integers(0, 9))
def test_a_number_never_comes_through(uid: int, before: str, after: str, way: int) -> None:
    text = f"{before} {ways(uid)[way]} {after}"
    clean = Redaction([uid]).apply(text)
    assert ways(uid)[way] not in clean
    assert TRANSPONDER in clean
    assert clean.startswith(before) and clean.endswith(after)


@given(text=st.text(alphabet='0123456789abcdef ghz:-.\n"{},', max_size=200))
def test_a_text_without_a_known_number_stays_as_it_is(text: str) -> None:
    assert Redaction([]).apply(text) == text


def test_other_numbers_stay() -> None:
    text = (
        '{"lock": "1f00a1", "at": "2026-11-25T19:42:46Z", "journal": "0d3c8f9e-93f5-4f3b-8f0e-0d5c1f8f2a11", '
        '"pid": 4711}'
    )
    assert Redaction([UID, 4711, 1]).apply(text) == text


def test_secrets_go_and_what_only_looks_like_one_stays() -> None:
    redaction = Redaction([])
    assert redaction.apply('password = "hunter2"') == f'{SECRET}"'
    assert redaction.apply("password_file = keys/mqtt.password") == "password_file = keys/mqtt.password"
    assert redaction.apply("https://me:pw@host/x") == f"https://{SECRET}@host/x"
    assert redaction.apply("wlt1.abc.def and on") == f"{SECRET} and on"
    assert "MC4C" not in redaction.apply("-----BEGIN EC PRIVATE KEY-----\nMC4C\n")


def test_a_long_log_stays_as_it_is_where_none_of_many_numbers_is_in_it() -> None:
    redaction = Redaction(range(0xE004_0000_0000_0000, 0xE004_0000_0000_0000 + 2_000))
    log = "".join(f"2026-11-25 seq {number} {number:08x} {'ab' * 32}\n" for number in range(3_000))
    assert redaction.apply(log) == log

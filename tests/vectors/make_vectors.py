"""Writes the test vectors beside it: `python tests/vectors/make_vectors.py`. Imports nothing of `wastelock`.

Run it again only to add cases: vectors that have been published stay as they are.
"""

import hashlib
import json
import struct
import zlib
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

HERE = Path(__file__).parent
SERIAL, EPOCH = 0x1F00A3, 7
KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
# RFC 8032 section 7.1, TEST 1: a secret key that anybody can check a library with.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
TOPIC = "wl/1/estate-1/gw-0001/up/page"
JOURNAL = "0d3c8c5e-7f3b-4f0a-9c61-2f6f0b1f8a11"

NOTHING = {
    "seq": 0, "began_clock_s": 0, "boot": 0, "kind": 0, "result": 0, "chamber": 0, "flags": 0, "uid": 0,
    "volume_ml": 0, "weight_word": 0xFFFF, "duration_ds": 0, "register_after": 0,
}  # fmt: skip
WEIGHED = {
    "seq": 905, "began_clock_s": 1763803861, "boot": 12, "kind": 1, "result": 0, "chamber": 1, "flags": 1,
    "uid": 0x04A2B3C4D5E6F7, "volume_ml": 5000, "weight_word": 213, "duration_ds": 74, "register_after": 48211,
}  # fmt: skip
RECORDS: list[tuple[str, dict[str, int], bool]] = [
    ("complete pour of chamber 1, clock set, weighed", WEIGHED, True),
    ("the same without a MAC", WEIGHED, False),
    ("pour recovered after a power cut, clock lost, degraded, largest register",
     {"seq": 906, "began_clock_s": 1763803999, "boot": 65535, "kind": 1, "result": 0, "chamber": 2,
      "flags": 0b110010, "uid": 2**64 - 1, "volume_ml": 65535, "register_after": 2**32 - 1}, True),
    ("access denied: a blocked transponder, clock never set",
     {"seq": 1, "began_clock_s": 42, "boot": 1, "kind": 2, "result": 2, "uid": 0xE0040100DEADBEEF}, True),
    ("fault 9 raised",
     {"seq": 907, "began_clock_s": 1763804000, "boot": 13, "kind": 5, "flags": 1, "duration_ds": 9}, True),
    ("clock set, the old clock in the register's words",
     {"seq": 908, "began_clock_s": 1763804100, "boot": 13, "kind": 8, "flags": 1, "register_after": 1763803000}, True),
    ("a kind that no map version has yet, greatest sequence number",
     {"seq": 2**32 - 1, "began_clock_s": 1763804101, "boot": 13, "kind": 200, "result": 201, "chamber": 202,
      "flags": 203, "uid": 1, "volume_ml": 2, "weight_word": 3, "duration_ds": 4, "register_after": 5}, True),
]  # fmt: skip


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def record_bytes(fields: dict[str, int], with_mac: bool) -> bytes:
    """Word by word, in the order of the map's table."""
    f = {**NOTHING, **fields}
    head = b"".join([
        struct.pack(">I", f["seq"]), struct.pack(">I", f["began_clock_s"]), struct.pack(">H", f["boot"]),
        bytes([f["kind"], f["result"]]), bytes([f["chamber"], f["flags"]]), struct.pack(">Q", f["uid"]),
        struct.pack(">H", f["volume_ml"]), struct.pack(">H", f["weight_word"]), struct.pack(">H", f["duration_ds"]),
        struct.pack(">I", f["register_after"]),
    ])  # fmt: skip
    binding = struct.pack(">Q", SERIAL) + struct.pack(">I", EPOCH)
    mac = bytes(8)
    if with_mac:
        cmac = CMAC(AES(KEY))
        cmac.update(head + binding)
        mac = cmac.finalize()[:8]
    return head + mac + struct.pack(">I", zlib.crc32(head + mac + binding))


def records() -> list[dict[str, Any]]:
    made = []
    for what, fields, with_mac in RECORDS:
        raw = record_bytes(fields, with_mac)
        made.append({
            "what": what, "serial": SERIAL, "epoch": EPOCH, "mac_key": KEY.hex() if with_mac else None,
            "fields": {**NOTHING, **fields, "mac": raw[32:40].hex(), "crc": struct.unpack(">I", raw[40:])[0]},
            "raw": raw.hex(),
        })  # fmt: skip
    return made


def words(block: dict[int, int], first: int, count: int) -> list[int]:
    return [block.get(address, 0) for address in range(first, first + count)]


def u32(address: int, value: int) -> dict[int, int]:
    return {address: value >> 16, address + 1: value & 0xFFFF}


def u64(address: int, value: int) -> dict[int, int]:
    return {**u32(address, value >> 32), **u32(address + 2, value & 0xFFFFFFFF)}


def blocks() -> dict[str, Any]:
    """Address by address, as the two tables of the map have them."""
    identity = {
        0x0000: 0x574C, 0x0001: 1, **u64(0x0002, 0x1122334455667788), 0x0006: 3, 0x0007: 2,
        **u32(0x0008, 4 << 16 | 17 << 8 | 9), 0x000A: 2, 0x000B: 0b10111, 0x000C: 2047, 0x000D: 22,
        **u32(0x000E, 0x00010002), **u32(0x0010, 5000), **u32(0x0012, 20000), **u32(0x0018, 0xAABBCCDD),
        0x001A: 2048,
    }  # fmt: skip
    status = {
        0x0040: 6, **u32(0x0041, 1 << 9 | 1), **u32(0x0043, 1763803861), 0x0045: 2, **u32(0x0046, 86461),
        0x0048: 65535, 0x0049: 3612, 0x004A: 0x10000 - 105, 0x004B: 0xFFFF, 0x004C: 0b11, **u32(0x004D, 70000),
        **u32(0x004F, 70001), **u32(0x0051, 72047), **u32(0x0053, 70000), **u32(0x0055, 4294967295),
        **u32(0x0057, 12), **u32(0x0059, 0), **u32(0x005B, 0), 0x005D: 9, 0x005E: 0xFFFF, 0x005F: 240,
        **u32(0x0060, 0xCAFEBABE), **u32(0x0062, 0x00010002), **u64(0x0064, 0x1122334455667788),
    }  # fmt: skip
    return {
        "identity": {
            "words": words(identity, 0x0000, 32),
            "fields": {
                "serial": 0x1122334455667788, "model": 3, "hardware_revision": 2, "firmware_version": 266505,
                "chambers": 2, "capabilities": 23, "capacity": 2047, "epoch": 65538, "volumes_ml": [5000, 20000],
                "mac_key_id": 0xAABBCCDD, "access_list_max": 2048, "map_version": 1,
            },
            "firmware": "4.17.9",
        },
        "status": {
            "words": words(status, 0x0040, 40),
            "fields": {
                "state": 6, "faults": 513, "clock_s": 1763803861, "clock_status": 2, "uptime_s": 86461,
                "boot": 65535, "battery_mv": 3612, "temperature_dc": -105, "fill_permille": None, "enable_mask": 3,
                "access_list_version": 70000, "oldest_seq": 70001, "newest_seq": 72047, "confirmed_seq": 70000,
                "registers": [4294967295, 12, 0, 0], "command_token": 9, "command_result": 65535,
                "access_list_entries": 240, "access_list_crc": 0xCAFEBABE, "epoch": 65538,
                "serial": 0x1122334455667788,
            },
        },
    }  # fmt: skip


def pages() -> list[dict[str, Any]]:
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    public = key.public_key().public_bytes_raw()
    first = (
        '{"v":1,"gateway":"gw-0001","journal":"' + JOURNAL + '","page":1,"prev":"",'
        '"sealed_at":"2026-11-22T09:31:01.210Z","clock":"ntp","records":['
        '{"lock":"1f00a3","driver":"wlc-1","epoch":7,"seq":905,"raw":"'
        + base64url(record_bytes(RECORDS[0][1], True))
        + '","read_at":"2026-11-22T09:31:01.187Z","clock_offset_s":-2}]}'
    ).encode()
    second = (
        '{"v":1,"gateway":"gw-0001","journal":"' + JOURNAL + '","page":2,"prev":"'
        + base64url(hashlib.sha256(first).digest())
        + '","sealed_at":"2026-11-22T09:31:02.000Z","clock":"unset","records":['
        '{"lock":"1f00a3","driver":"wlc-1","epoch":7,"seq":1,"raw":"'
        + base64url(record_bytes(RECORDS[3][1], True))
        + '","read_at":"2026-11-22T09:31:01.990Z"},'
        '{"lock":"1f00a3","driver":"wlc-1","epoch":7,"seq":907,"raw":"'
        + base64url(record_bytes(RECORDS[4][1], True))
        + '","read_at":"2026-11-22T09:31:01.990Z","clock_offset_s":0,"unverified":true}]}'
    ).encode()  # fmt: skip
    return [
        {
            "payload": payload.decode(), "topic": TOPIC, "hash": base64url(hashlib.sha256(payload).digest()),
            "public_key": base64url(public), "kid": base64url(hashlib.sha256(public).digest()[:12]),
            "sig": base64url(key.sign(b"wl1\n" + TOPIC.encode() + b"\n" + payload)),
        }
        for payload in (first, second)
    ]  # fmt: skip


def cmac() -> list[dict[str, str]]:
    """Typed from RFC 4493 section 4, not computed."""
    message = (
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    key = "2b7e151628aed2a6abf7158809cf4f3c"
    return [
        {"key": key, "message": message[: 2 * length], "tag": tag}
        for length, tag in (
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        )
    ]


if __name__ == "__main__":
    for name, content in (("records", records()), ("blocks", blocks()), ("pages", pages()), ("cmac", cmac())):
        (HERE / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

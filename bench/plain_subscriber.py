"""The baseline: what most people would write. paho -> orjson -> SQLite in batches of 100, no checks, no custody.

It acknowledges each page on arrival, before anything is written (paho does so by itself), looks at no signature, lets
the same page in twice, and never tells the gateway anything. SQLite's default journal mode is DELETE; how quick it
would be with WAL is measured, too. Run as `python -m bench.plain_subscriber PORT FILE MODE`.
"""

import sqlite3
import sys
from typing import Any

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

CLIENT_ID = "plain-subscriber"
TOPIC = "wl/1/+/+/up/page"
BATCH = 100


def main(port: int, path: str, journal_mode: str) -> None:
    """Subscribe and insert until killed."""
    db = sqlite3.connect(path, check_same_thread=False)
    db.execute(f"PRAGMA journal_mode = {journal_mode}")
    db.execute("CREATE TABLE IF NOT EXISTS records (lock TEXT, epoch INTEGER, seq INTEGER, driver TEXT, raw TEXT, "
               "read_at TEXT, clock_offset_s INTEGER, gateway TEXT, journal TEXT, page INTEGER)")  # fmt: skip
    rows: list[tuple[Any, ...]] = []

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        page = orjson.loads(message.payload)
        for r in page["records"]:
            rows.append((r["lock"], r["epoch"], r["seq"], r["driver"], r["raw"], r["read_at"],
                         r.get("clock_offset_s"), page["gateway"], page["journal"], page["page"]))  # fmt: skip
        if len(rows) >= BATCH:
            db.executemany("INSERT INTO records VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
            db.commit()
            rows.clear()

    client = paho.Client(CallbackAPIVersion.VERSION2, CLIENT_ID, protocol=paho.MQTTv5)
    client.on_connect = lambda c, *_: c.subscribe(TOPIC, qos=1)
    client.on_message = on_message
    connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    connect.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", port, clean_start=False, properties=connect)
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

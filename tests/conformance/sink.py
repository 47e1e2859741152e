"""The least that a ledger does: takes pages off the broker, keeps them, says so by receipts."""

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.conformance.gateway import GATEWAY, SITE
from tests.conformance.pages import PageBytes, page_hash

PAGE_TOPIC = f"wl/1/{SITE}/{GATEWAY}/up/page"
_RECEIPT_TOPIC = f"wl/1/{SITE}/{GATEWAY}/down/receipt"
_LOCK_TOPIC = f"wl/1/{SITE}/{GATEWAY}/state/lock/"
_SINK_TOPIC = "wl/1/sink/state"
_CONNECT_S = 10.0


class Sink:
    """Keeps everything in memory: it is the agent that is on trial here. Its thread is paho's own."""

    def __init__(self, port: int) -> None:
        self.pages: dict[tuple[str, int], PageBytes] = {}
        self.disagreements: list[str] = []
        self.lock_states: dict[int, dict[str, Any]] = {}
        self._port = port
        self._guard = threading.Lock()
        self._client: paho.Client | None = None

    def open(self) -> None:
        """Connect and subscribe; comes back by itself when the broker was away."""
        client = paho.Client(CallbackAPIVersion.VERSION2, "sink", protocol=paho.MQTTv5)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.connect_async("127.0.0.1", self._port, clean_start=True)
        client.loop_start()
        self._client = client

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def holds(self, pages: list[PageBytes]) -> bool:
        with self._guard:
            return all((page.journal, page.number) in self.pages for page in pages)

    def all_pages(self) -> list[PageBytes]:
        with self._guard:
            return list(self.pages.values())

    def wait_connected(self) -> None:
        deadline = time.monotonic() + _CONNECT_S
        while self._client is not None and not self._client.is_connected():
            if time.monotonic() > deadline:
                raise AssertionError("the sink can't reach its broker")
            time.sleep(0.01)

    def _on_connect(
        self,
        client: paho.Client,
        data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        client.subscribe([(PAGE_TOPIC, SubscribeOptions(1)), (f"{_LOCK_TOPIC}+", SubscribeOptions(1))])
        client.publish(_SINK_TOPIC, json.dumps({"v": 1, "online": True}), qos=1, retain=True)

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        if message.topic.startswith(_LOCK_TOPIC):
            self.lock_states[int(message.topic.removeprefix(_LOCK_TOPIC), 16)] = json.loads(message.payload)
            return
        user = dict(getattr(message.properties, "UserProperty", []))
        header = json.loads(message.payload)
        page = PageBytes(
            header["journal"],
            header["page"],
            bytes(message.payload),
            user.get("kid", ""),
            user.get("sig", ""),
        )
        with self._guard:
            known = self.pages.setdefault((page.journal, page.number), page)
            if known.payload != page.payload:
                self.disagreements.append(f"page {page.number} arrived with two contents")
            receipt = self._receipt(page.journal)
        client.publish(_RECEIPT_TOPIC, receipt, qos=1, retain=True)

    def _receipt(self, journal: str) -> str:
        numbers = {number for known, number in self.pages if known == journal}
        through = 0
        while through + 1 in numbers:
            through += 1
        receipt: dict[str, object] = {
            "v": 1,
            "journal": journal,
            "committed_through": through,
            "held": [[number, number] for number in sorted(numbers) if number > through][:1000],
            "quarantined": [],
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if through:
            receipt["head"] = page_hash(self.pages[journal, through].payload)
        return json.dumps(receipt)

"""A sink for the forwarder's tests: takes pages by the contract's rules, keeps them in memory, sends receipts.

It stands for any ledger that keeps to design 3, not for `cloud_sink` (which these tests must not need).
"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.unit.edge_agent.gateway import KEY, TOPICS
from wastelock.messages import Receipt, ResendRequest
from wastelock.page import page_hash, parse_page, signature_holds
from wastelock.topics import ALL_PAGES


@dataclass(frozen=True)
class Came:
    """A page message as it came; `held`: its signature did."""

    payload: bytes
    signature: str
    held: bool


class Ledger:
    """`pages[journal][number]` are the bytes that were taken; `order` are the numbers of all that came.

    `lose`: pages that are lost the next time; `slow_s`: how long each takes; `answers`: are there receipts?
    """

    def __init__(self, port: int, *, answers: bool = True, slow_s: float = 0.0) -> None:
        self.pages: dict[str, dict[int, bytes]] = defaultdict(dict)
        self.order: list[int] = []
        self.answers = answers
        self.lose: set[int] = set()
        self.refuse_bad_signatures = False
        self.messages: list[Came] = []
        self.faults: list[str] = []
        self._slow_s = slow_s
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "ledger", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe(ALL_PAGES, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._ready.wait(10), "the ledger's subscription"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        assert self.faults == []

    def committed_through(self, journal: str) -> int:
        pages = self.pages[journal]
        number = 0
        while number + 1 in pages:
            number += 1
        return number

    def record_ids(self) -> list[tuple[str, int, int]]:
        """Return (lock, epoch, seq) of each record of each page, with repetitions."""
        with self._lock:
            payloads = [payload for pages in self.pages.values() for payload in pages.values()]
        return [(r.lock, r.epoch, r.seq) for payload in payloads for r in parse_page(payload).records]

    def receipt(self, journal: str, quarantined: tuple[tuple[int, str], ...] = ()) -> Receipt:
        """Return what this ledger has of a journal, as a receipt."""
        pages = self.pages[journal]
        through = self.committed_through(journal)
        head = page_hash(pages[through]) if through else None
        held = tuple((n, n) for n in sorted(pages) if n > through)
        return Receipt(
            journal=journal,
            committed_through=through,
            head=head,
            held=held[:1000],
            quarantined=quarantined,
            at=datetime.now(UTC),
        )

    def send(self, receipt: Receipt) -> None:
        self._client.publish(TOPICS.receipt, receipt.to_json(), 1, True)

    def ask_for(self, journal: str, first: int, last: int) -> None:
        request = ResendRequest(journal=journal, pages=((first, last),))
        self._client.publish(TOPICS.resend, request.to_json(), 1)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        page = parse_page(payload)
        time.sleep(self._slow_s)
        signature = dict(getattr(message.properties, "UserProperty", ()))["sig"]
        held = signature_holds(KEY.private.public_key(), message.topic, payload, signature)
        self.messages.append(Came(payload, signature, held))
        if not held:
            if not self.refuse_bad_signatures:
                self.faults.append(f"signature of page {page.page} doesn't hold")
            self.send(self.receipt(page.journal, ((page.page, "bad signature"),)))
            return
        with self._lock:
            self.order.append(page.page)
            if page.page in self.lose:
                self.lose.discard(page.page)
                return
            known = self.pages[page.journal].setdefault(page.page, bytes(message.payload))
        if known != message.payload:
            self.faults.append(f"page {page.page} came with other bytes")
        if self.answers:
            self.send(self.receipt(page.journal))

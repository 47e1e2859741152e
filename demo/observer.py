"""Listens to the broker as a bystander: which records were sent in pages, and which of them the sink has receipted.

It sees what anybody with the right to read these topics sees, and nothing is decided by what it sees: the comparison
at the end asks the ledger itself.
"""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from demo.compare import pseudonym
from demo.layout import HOST
from wastelock.messages import Receipt
from wastelock.page import MalformedPage, Page, UnsupportedPage, from_base64url, parse_instant, parse_page
from wastelock.record import ClockStatus, Kind, MalformedRecord, Record, decode_record
from wastelock.topics import GatewayTopics

_RECENT = 200
_MAX_OPEN_PAGES = 100_000


@dataclass(frozen=True, slots=True)
class Pour:
    """A pour on its way: when it began (controller's clock), was read, sealed and committed (None: not yet)."""

    lock: str
    chamber: int
    result: int
    volume_ml: int
    credential: str
    began_at: datetime | None
    read_at: datetime
    sealed_at: datetime
    page: int
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts of records by lock, and the last committed pours, newest last."""

    sent: dict[str, int]
    committed: dict[str, int]
    recent: tuple[Pour, ...]
    pours_committed: int


@dataclass(slots=True)
class _OpenPage:
    counts: dict[str, int]
    pours: list[Pour]


class Observer:
    """Counts in paho's thread; `seen()` may be called from any other. `start` returns at once, connects when it can."""

    def __init__(self, port: int, topics: GatewayTopics, pseudonym_key: bytes) -> None:
        self._port = port
        self._topics = topics
        self._key = pseudonym_key
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int], _OpenPage] = OrderedDict()
        self._sent: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._through: dict[str, int] = {}
        self._recent: deque[Pour] = deque(maxlen=_RECENT)
        self._pours_committed = 0
        self.problem: str | None = None
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._take

    def start(self) -> None:
        self._client.connect_async(HOST, self._port)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def seen(self) -> Seen:
        with self._lock:
            return Seen(dict(self._sent), dict(self._committed), tuple(self._recent), self._pours_committed)

    def _subscribe(self, client: mqtt.Client, *_rest: Any) -> None:
        client.subscribe([(self._topics.page, 1), (self._topics.receipt, 1)])

    def _take(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            if message.topic == self._topics.page:
                self._note_page(parse_page(bytes(message.payload)))
            else:
                self._note_receipt(Receipt.model_validate_json(message.payload))
        except (MalformedPage, UnsupportedPage, MalformedRecord, ValidationError) as error:
            self.problem = f"{message.topic}: {error}"

    def _note_page(self, page: Page) -> None:
        with self._lock:
            known = (page.journal, page.page) in self._open or page.page <= self._through.get(page.journal, 0)
            if known or len(self._open) >= _MAX_OPEN_PAGES:
                return  # sent again
            counts: dict[str, int] = {}
            for record in page.records:
                counts[record.lock] = counts.get(record.lock, 0) + 1
            for lock, count in counts.items():
                self._sent[lock] = self._sent.get(lock, 0) + count
            self._open[page.journal, page.page] = _OpenPage(counts, self._pours_of(page))

    def _pours_of(self, page: Page) -> list[Pour]:
        pours = []
        for held in page.records:
            record = decode_record(from_base64url(held.raw))
            if record.kind == Kind.POUR:
                pours.append(
                    Pour(
                        lock=held.lock,
                        chamber=record.chamber,
                        result=record.result,
                        volume_ml=record.volume_ml,
                        credential=pseudonym(record.uid, self._key)[:8] if record.uid else "",
                        began_at=_began_at(record),
                        read_at=parse_instant(held.read_at),
                        sealed_at=parse_instant(page.sealed_at),
                        page=page.page,
                    )
                )
        return pours

    def _note_receipt(self, receipt: Receipt) -> None:
        with self._lock:
            self._through[receipt.journal] = max(
                self._through.get(receipt.journal, 0), receipt.committed_through
            )
            for journal, number in [key for key in self._open if _covers(receipt, key)]:
                page = self._open.pop((journal, number))
                for lock, count in page.counts.items():
                    self._committed[lock] = self._committed.get(lock, 0) + count
                self._pours_committed += len(page.pours)
                self._recent.extend(replace(pour, committed_at=receipt.at) for pour in page.pours)


def _covers(receipt: Receipt, key: tuple[str, int]) -> bool:
    journal, page = key
    if journal != receipt.journal:
        return False
    return page <= receipt.committed_through or any(first <= page <= last for first, last in receipt.held)


def _began_at(record: Record) -> datetime | None:
    if record.clock_status == ClockStatus.NEVER_SET:
        return None
    return datetime.fromtimestamp(record.began_clock_s, UTC)

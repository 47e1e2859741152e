"""The loop spool → uplink, and back: receipts let pages be pruned, silence lets them be sent again.

Raises JournalForked or SpoolCorrupt where the agent has to start afresh: all that counts is on disk by then.

Live pages (sealed since the session began) and the backlog take turns, three to one, so that what happens now is seen
now while days of backlog still move. A PUBACK only frees a slot in paho's hands; success is a receipt.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from time import monotonic

import structlog
from pydantic import ValidationError

from edge_agent.alarms import Alarms
from edge_agent.errors import BrokerUnavailable, JournalForked, SpoolFull, SpoolUnavailable
from edge_agent.lane import Lane
from edge_agent.pace import Pace
from edge_agent.receipt_drop import ReceiptDrop
from edge_agent.spool import Spool
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import JournalView, SpoolReader, StoredPage
from edge_agent.spool_receipts import Verdict
from edge_agent.uplink import NO_MATCHING_SUBSCRIBERS, Acknowledgement, Uplink
from wastelock.messages import Receipt, ResendRequest, SinkState
from wastelock.topics import SINK_STATE

_log = structlog.get_logger(__name__)

WINDOW_MAX = 64
_LIVE_TURNS = 3
_LIVE_MAX = WINDOW_MAX  # more live pages than this unsent: the line can't keep up, they are backlog now
_SCAN = 256
_REQUESTS_MAX = 1000
_PACKET_OVERHEAD = 1024  # topic, key id, signature and what MQTT adds
_IDLE_S = 1.0


@dataclass(slots=True)
class Tally:
    """What happened since the start. `received`: pages whose arrival a receipt told; the broker's word counts nothing.

    `lost`: pages that were believed lost on their way, and so sent again.
    """

    sent: int = 0
    receipts: int = 0
    received: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class _InHand:
    """A page in paho's hands."""

    lane: Lane
    page: int


class Forwarder:
    """`run` is the thread; nothing else is called from outside but `progressed_at` and `tally`."""

    def __init__(
        self,
        spool: Spool,
        uplink: Uplink,
        sealer: Sealer,
        alarms: Alarms,
        random: Random,
        wake: threading.Event,
        *,
        now_s: Callable[[], float] = monotonic,
        window_max: int = WINDOW_MAX,
    ) -> None:
        self._spool = spool
        self._uplink = uplink
        self._sealer = sealer
        self._topics = sealer.topics
        self._alarms = alarms
        self._random = random
        self._wake = wake
        self._now_s = now_s
        self._pace = Pace(window_max, self._jitter)
        self._lanes: dict[str, Lane] = {}
        self._journals: dict[str, JournalView] = {}
        self._in_hand: dict[int, _InHand] = {}
        self._drop = ReceiptDrop(spool.path)
        self._requests: deque[tuple[str, int, int]] = deque(maxlen=_REQUESTS_MAX)
        self._session = 0
        self._live_after = 0
        self._turn = 0
        self.tally = Tally()
        self.progressed_at = monotonic()

    def run(self, stop: threading.Event) -> None:
        reader = SpoolReader(self._spool.path)
        try:
            while not stop.is_set():
                self._wake.clear()
                sent = self.step(reader)
                self.progressed_at = monotonic()
                if not sent:
                    self._wake.wait(self._pace.wait_s(self._now_s(), _IDLE_S))
        finally:
            reader.close()

    def step(self, reader: SpoolReader) -> int:
        """Take in what came, then send what may be sent; return how many pages were handed over."""
        self._refresh(reader)
        self._take_messages()
        self._take_dropped()
        self._take_acknowledgements()
        self._look_for_timeout()
        if not self._uplink.is_connected:
            return 0
        return self._send(reader)

    # ---- what came in ----

    def _refresh(self, reader: SpoolReader) -> None:
        """Learn of new journals and pages, and of a new session."""
        self._journals = {view.uuid: view for view in reader.journals() if view.state != "forked"}
        for uuid, view in self._journals.items():
            if uuid not in self._lanes:
                self._lanes[uuid] = Lane(view.id, uuid, view.committed_through)
        for uuid in self._lanes.keys() - self._journals.keys():
            del self._lanes[uuid]
            self._alarms.clear(f"quarantined {uuid}")
        if self._uplink.sessions != self._session:
            self._session = self._uplink.sessions
            self._live_after = self._active().newest_page
            self._hasten()
        elif self._active().newest_page - self._live_after > _LIVE_MAX and self._is_behind():
            self._live_after = self._active().newest_page

    def _active(self) -> JournalView:
        return next(view for view in self._journals.values() if view.state == "active")

    def _is_behind(self) -> bool:
        return self._lanes[self._active().uuid].committed_through < self._live_after

    def _take_messages(self) -> None:
        receipts: dict[str, Receipt] = {}
        for topic, payload in self._uplink.take_messages():
            try:
                if topic == self._topics.receipt:
                    receipt = Receipt.model_validate_json(payload)
                    receipts[receipt.journal] = receipt  # each tells all: only the last one counts
                elif topic == self._topics.resend:
                    self._take_request(ResendRequest.model_validate_json(payload))
                elif topic == SINK_STATE and payload:
                    self._take_sink_state(SinkState.model_validate_json(payload))
            except ValidationError as error:
                _log.warning("message not understood", topic=topic, errors=error.error_count())
        for receipt in receipts.values():
            self._take_receipt(receipt)

    def _take_dropped(self) -> None:
        """Receipts that came by hand count as those that come over the broker, unless newer ones were faster."""
        for file in self._drop.due(self._now_s()):
            receipts = self._drop.read(file)
            if receipts is not None and all(self._take_receipt(each, by_hand=True) for each in receipts):
                self._drop.done(file)
                _log.info("receipts came by hand", receipts=len(receipts))

    def _take_receipt(self, receipt: Receipt, *, by_hand: bool = False) -> bool:
        """Do what a receipt says; False where it can't be noted now."""
        lane = self._lanes.get(receipt.journal)
        try:
            judgement = self._spool.apply_receipt(receipt, by_hand=by_hand)
        except (SpoolFull, SpoolUnavailable) as error:
            _log.warning("a receipt can't be noted now; it will be told again", why=str(error))
            return False
        if judgement.verdict is Verdict.FORKED:
            self._alarms.raise_("journal forked", judgement.why)
            raise JournalForked(judgement.why)
        if judgement.verdict is Verdict.RETREATED:
            self._alarms.raise_("ledger lost pages", judgement.why)
        if judgement.verdict is not Verdict.ACCEPTED or lane is None:
            _log.info("receipt not used", verdict=judgement.verdict.value, why=judgement.why)
            return True
        now_s, quarantined = self._now_s(), dict(receipt.quarantined)
        progress = lane.note_receipt(
            receipt.committed_through, receipt.held, quarantined, now_s, self._jitter()
        )
        self._pace.note_receipt(
            now_s, arrived=progress.arrived, lost=progress.lost, all_received=self._all_quiet()
        )
        self.tally.receipts += 1
        self.tally.received += progress.arrived
        self.tally.lost += progress.lost
        self._report_quarantine(lane)
        return True

    def _report_quarantine(self, lane: Lane) -> None:
        name = f"quarantined {lane.uuid}"
        if lane.quarantined:
            page, why = min(lane.quarantined.items())
            self._alarms.raise_(name, f"the ledger doesn't take page {page}: {why}")
        else:
            self._alarms.clear(name)

    def _take_request(self, request: ResendRequest) -> None:
        if request.journal not in self._lanes:
            return
        asked = [(request.journal, first, last) for first, last in request.pages]
        self._requests.extend(item for item in asked if item not in self._requests)
        _log.info("the ledger asks for pages again", ranges=len(asked))

    def _take_sink_state(self, state: SinkState) -> None:
        if state.online:
            self._hasten()

    def _hasten(self) -> None:
        now_s = self._now_s()
        self._pace.hasten(now_s, all_received=self._all_quiet())
        for lane in self._lanes.values():
            lane.hasten(now_s)

    def _take_acknowledgements(self) -> None:
        for ack in self._uplink.take_acknowledgements():
            held = self._in_hand.pop(ack.mid, None)
            if held is None:
                continue
            if ack.code >= 0x80 or ack.code == NO_MATCHING_SUBSCRIBERS:
                held.lane.note_refused(held.page, self._now_s(), self._jitter())
                self._report_refusal(ack)
            else:
                self._alarms.clear("not taken")

    def _report_refusal(self, ack: Acknowledgement) -> None:
        if ack.code == NO_MATCHING_SUBSCRIBERS:
            self._alarms.raise_("not taken", "nobody is subscribed to pages: is the sink running?")
        else:
            self._alarms.raise_("not taken", f"the broker refuses pages: {ack.name}")

    def _look_for_timeout(self) -> None:
        if not self._uplink.is_connected or not self._pace.has_run_out(self._now_s()):
            return
        self._pace.note_timeout()
        lost = sum(lane.note_timeout() for lane in self._lanes.values())
        self.tally.lost += lost
        if lost:
            _log.warning("no receipt: sending again", pages=lost)

    # ---- what goes out ----

    def _send(self, reader: SpoolReader) -> int:
        sent = self._send_requested(reader)
        room = min(self._pace.window - self._under_way(), self._slots())
        for lane, page in self._next_pages(reader, room):
            if self._send_page(reader, lane, page):
                sent += 1
                self._pace.note_sent(self._now_s())
        return sent

    def _next_pages(self, reader: SpoolReader, room: int) -> list[tuple[Lane, int]]:
        """Return at most `room` pages: first those that are due again, then live ones and backlog in turns."""
        now_s = self._now_s()
        due = [(lane, page) for lane in self._lanes.values() for page in lane.due(now_s)]
        # Those waiting count as under way, so they take no further room.
        chosen = due[: max(0, self._slots())]
        if room <= 0:
            return chosen
        active = self._lanes[self._active().uuid]
        live = self._unsent(reader, active, self._live_after, None)
        backlog = self._backlog(reader, active)
        fresh: list[tuple[Lane, int]] = []
        while len(fresh) < min(room, self._slots() - len(chosen)):
            self._turn = (self._turn + 1) % (_LIVE_TURNS + 1)
            first, second = (backlog, live) if self._turn == 0 else (live, backlog)
            pair = next(first, None) or next(second, None)
            if pair is None:
                break
            fresh.append(pair)
        return chosen + fresh

    def _backlog(self, reader: SpoolReader, active: Lane) -> Iterator[tuple[Lane, int]]:
        """Yield what older journals still hold, then the active one's pages up to where the live ones begin."""
        for lane in self._lanes.values():
            yield from self._unsent(
                reader, lane, lane.committed_through, self._live_after if lane is active else None
            )

    def _unsent(
        self, reader: SpoolReader, lane: Lane, after: int, up_to: int | None
    ) -> Iterator[tuple[Lane, int]]:
        """Yield a lane's unsent pages beyond `after`, ascending."""
        after = max(after, lane.committed_through)
        while pages := reader.pages_after(lane.journal, after, _SCAN):
            for page in pages:
                if up_to is not None and page > up_to:
                    return
                if page > after and lane.is_sendable(page):
                    yield lane, page
                after = max(after, lane.end_of_held(page))

    def _send_page(self, reader: SpoolReader, lane: Lane, number: int) -> bool:
        page = reader.page(lane.journal, number)
        if page is None:
            lane.note_gone(number)
            return False
        limit = self._uplink.max_packet_bytes
        if limit is not None and len(page.payload) + _PACKET_OVERHEAD > limit:
            # Sent all the same, it would end the session, again and again.
            self._alarms.raise_(
                "not taken", f"the broker takes {limit} bytes, page {number} is larger: max_packet_size"
            )
            lane.note_sent(number, self._now_s())
            lane.note_refused(number, self._now_s(), self._jitter())
            return False
        kid, signature = page.kid, page.signature
        if number in lane.quarantined and self._may_sign(lane, page):
            # Its key may be one that the sink no longer knows, or its signature what was damaged here.
            kid, signature = self._sealer.key.kid, self._sealer.key.sign(self._topics.page, page.payload)
        try:
            mid = self._uplink.publish_page(page.payload, kid, signature)
        except BrokerUnavailable:
            return False
        self._in_hand[mid] = _InHand(lane, number)
        lane.note_sent(number, self._now_s())
        self.tally.sent += 1
        return True

    def _may_sign(self, lane: Lane, page: StoredPage) -> bool:
        """True if this gateway has sealed it: of what came out of a file only its key says so (spool_journals)."""
        return lane.uuid == self._active().uuid or self._sealer.own_key(page.kid) is not None

    def _send_requested(self, reader: SpoolReader) -> int:
        """Send pages that the ledger asked for, whether or not a receipt covers them; half of the slots are theirs."""
        sent, most = 0, (self._slots() + 1) // 2
        while self._requests and sent < most and self._slots() > 0:
            uuid, first, last = self._requests.popleft()
            lane = self._lanes.get(uuid)
            pages = reader.pages_after(lane.journal, first - 1, 1) if lane else []
            if not lane or not pages or pages[0] > last:
                continue
            if pages[0] < last:
                self._requests.appendleft((uuid, pages[0] + 1, last))
            sent += self._send_page(reader, lane, pages[0])
        return sent

    def _slots(self) -> int:
        return self._uplink.max_in_hand - len(self._in_hand)

    def _under_way(self) -> int:
        return sum(lane.under_way for lane in self._lanes.values())

    def _all_quiet(self) -> bool:
        return all(lane.is_quiet for lane in self._lanes.values())

    def _jitter(self) -> float:
        return self._random.uniform(0.5, 1.5)

"""Tells gateways what their locks shall be: a retained desired state each, of a higher revision with each change.

    wish or list changed, lock read by another gateway ──▶ gateways in doubt ──▶ other content? ──▶ new revision
    new revision, or the gateway says that it hasn't it ──▶ published, with back-off, until the gateway says it has

What a revision says is worked out in the transaction that gives it its number: of several sinks one does.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import structlog
from sqlalchemy.engine import Connection

from cloud_sink.errors import LedgerRefused
from cloud_sink.ledger import desired_states, latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.desired_states import Marks, Place, Revision
from cloud_sink.orders.desired import digest, locks_as_told, payload
from cloud_sink.orders.model import greatest_revision
from cloud_sink.session import Envelope, Session
from wastelock.page import SigningKey
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)
_LOOK_AT_ONCE = 20  # gateways looked at in one step
_PUBLISH_AT_ONCE = 20
_PLACES_EVERY = timedelta(seconds=5)
_CHECK_EVERY = timedelta(seconds=60)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=10)
BYTES_MAX = 4_000_000  # the broker's max_packet_size (config/mosquitto.conf), less some room


class Desiring:
    """`look` finds out what has changed, `publish_due` sends; for one thread."""

    def __init__(
        self, database: Database, session: Session, key: SigningKey, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._session = session
        self._key = key
        self._clock = clock
        self._marks = Marks()
        self._places: dict[str, Place] = {}
        self._behind: dict[Place, list[str]] = {}
        self._places_at = self._checked_at = datetime.min.replace(tzinfo=clock().tzinfo)
        self._doubtful: dict[Place, None] = {}
        self._disbelieved: dict[Place, int] = {}

    def look(self) -> int:
        """Take one step: find gateways in doubt, give some of them a new revision where they need one.

        Returns how many are still in doubt. LedgerUnavailable: the same again later.
        """
        now = self._clock()
        with self._database.reading() as connection:
            changed, marks = desired_states.locks_changed_after(connection, self._marks)
            self._follow_places(connection, now)
            doubtful = {place: None for lock in changed if (place := self._places.get(lock)) is not None}
            some = list({**self._doubtful, **doubtful})[:_LOOK_AT_ONCE]
            stale = [place for place in some if self._is_stale(connection, place)]
        self._write(stale, lambda connection, place: self._renew(connection, place, now))
        self._marks, self._doubtful = marks, {**self._doubtful, **doubtful}
        for place in some:
            del self._doubtful[place]
        return len(self._doubtful)

    def publish_due(self) -> int:
        """Publish what is due; return how much was handed to the broker. LedgerUnavailable."""
        now = self._clock()
        if now - self._checked_at >= _CHECK_EVERY:
            self._check_gateways(now)
            self._checked_at = now
        with self._database.reading() as connection:
            due = desired_states.due_revisions(connection, now, _PUBLISH_AT_ONCE)
            had = [each for each in due if self._has(connection, each)]
        if not due:
            return 0
        mine = []
        with self._database.writing() as connection:
            desired_states.settle_revisions(connection, had)
            for each in due:
                wait = min(_FIRST_WAIT * 2 ** min(each.publications, 16), _LONGEST_WAIT)
                if each not in had and desired_states.take_publication(connection, each, now + wait):
                    mine.append((each, self._content(connection, each.place)))
        return sum(self._publish(each, content) for each, content in mine)

    def _follow_places(self, connection: Connection, now: datetime) -> None:
        """Learn which gateway reads which lock; one that lost or got any is in doubt."""
        if now - self._places_at < _PLACES_EVERY:
            return
        before, self._places = self._places, desired_states.places_of_locks(connection)
        self._places_at = now
        for lock in before.keys() | self._places.keys():
            old, new = before.get(lock), self._places.get(lock)
            if old != new:
                self._doubtful.update({place: None for place in (old, new) if place is not None})
        behind: dict[Place, list[str]] = defaultdict(list)
        for lock, place in self._places.items():
            behind[place].append(lock)
        self._behind = behind

    def _content(self, connection: Connection, place: Place) -> dict[str, object]:
        return locks_as_told(desired_states.wished_of(connection, self._behind.get(place, ())))

    def _is_stale(self, connection: Connection, place: Place) -> bool:
        content, known = self._content(connection, place), desired_states.revision_of(connection, place)
        return bool(content) if known is None else known.digest != digest(content)

    def _renew(self, connection: Connection, place: Place, now: datetime, beyond: int = 0) -> None:
        """Give a gateway a new revision, unless another sink just did. `beyond`: one that it says it has."""
        content, known = self._content(connection, place), desired_states.revision_of(connection, place)
        new = digest(content)
        if known is not None and known.digest == new and known.revision >= beyond:
            return
        last = 0 if known is None else known.revision
        revision = max(last + 1, beyond + 1, int(now.timestamp()))
        desired_states.put_revision(connection, place, revision, new, now)
        _log.info("desired state changed", site=place.site, gateway=place.gateway, revision=revision,
                  locks=len(content))  # fmt: skip

    def _check_gateways(self, now: datetime) -> None:
        """Gateways that are online say which revision they have: whoever has another one gets it again."""
        with self._database.reading() as connection:
            told = latest_reports.gateways(connection)
            known = desired_states.all_revisions(connection)
        lost, ahead = {}, {}
        for revision, is_due in known:
            state = told.get(revision.place)
            if state is None or not state.online:
                continue
            there = state.desired_revision or 0
            if there > revision.revision:
                if self._is_believed(revision, there, now):
                    ahead[revision.place] = there  # this ledger was restored from an older copy
            elif there < revision.revision and not is_due:
                lost[revision.place] = revision
        self._write(
            lost, lambda connection, place: desired_states.publish_again(connection, lost[place], now)
        )
        self._write(ahead, lambda connection, place: self._renew(connection, place, now, ahead[place]))

    def _is_believed(self, known: Revision, there: int, now: datetime) -> bool:
        """False, and said once, if no revision can be as high as the one that a gateway says it has."""
        if there <= greatest_revision(now):
            return True
        if self._disbelieved.get(known.place) != there:
            self._disbelieved[known.place] = there
            _log.error("a gateway says that it has a desired state which nobody can have made: it isn't believed",
                       site=known.place.site, gateway=known.place.gateway, told=there, newest=known.revision,
                       remedy="docs/operations-orders.md: gateway_ahead")  # fmt: skip
        return False

    def _write(self, places: Collection[Place], change: Callable[[Connection, Place], None]) -> None:
        """Change something of these gateways in one transaction; where the database refuses that, each in its own."""
        if not places:
            return
        try:
            with self._database.writing() as connection:
                for place in places:
                    change(connection, place)
        except LedgerRefused as error:
            if len(places) > 1:
                for place in places:
                    self._write([place], change)
                return
            (place,) = places
            _log.error("the database refuses a gateway's desired state: it isn't changed", site=place.site,
                       gateway=place.gateway, why=str(error))  # fmt: skip

    def _has(self, connection: Connection, revision: Revision) -> bool:
        state = latest_reports.gateway(connection, *revision.place)
        return state is not None and state.desired_revision == revision.revision

    def _publish(self, revision: Revision, content: dict[str, object]) -> bool:
        place = revision.place
        if digest(content) != revision.digest:
            self._doubtful[place] = None  # changed meanwhile: a new revision follows
            return False
        body = payload(content, revision.revision, revision.changed_at)
        if len(body) > BYTES_MAX:
            _log.error("a gateway's desired state is larger than the broker takes: it isn't sent",
                       gateway=place.gateway, size_bytes=len(body), most_bytes=BYTES_MAX,
                       remedy="spread its locks over two gateways, or shorten their access lists")  # fmt: skip
            return False
        topic = GatewayTopics(place.site, place.gateway).desired
        envelope = Envelope(self._key.kid, self._key.sign(topic, body))
        return self._session.publish_order(topic, body, envelope, retain=True)

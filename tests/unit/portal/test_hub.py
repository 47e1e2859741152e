"""The live hub by itself: what a slow browser, a lost session, and a database that is away bring about."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from portal import live
from portal.config import LimitsSection
from portal.errors import TooMany, Unavailable
from portal.live import Audience, Hub, LiveEvent
from portal.metrics import Metrics

ALL = Audience(lambda _event: True)


class Source:
    """Gives what a test puts into it; `away` raises instead."""

    def __init__(self) -> None:
        self.next: list[LiveEvent] = []
        self.away = False
        self.position = 0
        self.polls = 0

    def start(self) -> None:
        self._answer()

    def poll(self) -> Sequence[LiveEvent]:
        self.polls += 1
        self._answer()
        given, self.next = self.next, []
        return given

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("away")


def events(count: int, lock: str = "1f00a1") -> list[LiveEvent]:
    return [LiveEvent("record", "s", lock, {"n": n}, credential="c0ffee") for n in range(count)]


def make_hub(source: Source, **limits: Any) -> Hub:
    return Hub(source, 0.005, LimitsSection(**limits), Metrics())


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a thread of its own: where a browser was opened before, this one has a loop already."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(bounded())).result()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def begin(
    hub: Hub, audience: Audience = ALL, still: Callable[[], bool] = lambda: True
) -> AsyncIterator[bytes]:
    """Return a stream of which the greeting was taken already."""
    stream = hub.follow(audience, "me", None, still)
    assert b": live" in await anext(stream)
    assert b"event: hello" in await anext(stream)
    return stream


def test_a_browser_that_takes_nothing_is_told_to_begin_anew_and_holds_up_nobody() -> None:
    async def test() -> None:
        source = Source()
        hub = make_hub(source)
        hub.start()
        slow, quick = await begin(hub), await begin(hub)
        for _ in range(3):
            source.next = events(200)
            await until(lambda: not source.next)
            for _ in range(200):
                assert b"event: record" in await anext(quick)
        assert len(hub._listeners[0].waiting) <= live._QUEUE
        assert b"event: reset" in await anext(slow)
        source.next = events(1)
        assert b"event: record" in await anext(slow)
        await slow.aclose()  # type: ignore[attr-defined]  # it is a generator
        await quick.aclose()  # type: ignore[attr-defined]
        assert hub.streams == 0
        hub.close()

    in_loop(test)


def test_a_session_that_ended_ends_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.01)

    async def test() -> None:
        holds = [True, True, False]
        hub = make_hub(Source())
        hub.start()
        stream = await begin(hub, still=lambda: holds.pop(0))
        rest = [chunk async for chunk in stream]
        assert rest[-1].startswith(b"event: ended")
        assert all(chunk.startswith(b": ping") for chunk in rest[:-1])
        hub.close()

    in_loop(test)


def test_a_session_that_ended_ends_its_stream_also_while_much_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_S", 0.3)

    async def test() -> None:
        source = Source()
        hub = make_hub(source)
        hub.start()
        stream = await begin(hub, still=lambda: False)
        chunks = []
        async for chunk in stream:
            chunks.append(chunk)
            source.next = events(1)
        assert b"event: ended" in chunks[-1]
        hub.close()

    in_loop(test)


def test_streams_end_when_the_portal_does() -> None:
    async def test() -> None:
        hub = make_hub(Source())
        hub.start()
        stream = await begin(hub)
        hub.end_streams()
        assert [chunk async for chunk in stream] == []
        await asyncio.to_thread(hub.close)

    in_loop(test)


def test_a_database_that_was_away_is_followed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PATIENCE_S", 0.01)

    async def test() -> None:
        source = Source()
        source.away = True
        hub = make_hub(source)
        hub.start()
        stream = await begin(hub)
        await until(
            lambda: hub._metrics.registry.get_sample_value("wastelock_portal_live_poll_failures_total") != 0
        )
        source.away = False
        source.next = events(1)
        assert b"event: record" in await anext(stream)
        await asyncio.to_thread(hub.close)

    in_loop(test)


def test_an_error_that_nobody_expected_is_told_and_not_swallowed() -> None:
    async def test() -> None:
        died: list[BaseException] = []

        class Broken(Source):
            def poll(self) -> Sequence[LiveEvent]:
                raise ZeroDivisionError

        hub = Hub(Broken(), 0.005, LimitsSection(), Metrics(), died.append)
        hub.start()
        await until(lambda: bool(died))
        assert isinstance(died[0], ZeroDivisionError)
        hub.close()

    in_loop(test)


def test_nobody_gets_what_his_audience_does_not_accept_and_pseudonyms_only_if_he_may() -> None:
    async def test() -> None:
        source = Source()
        hub = make_hub(source)
        hub.start()
        own = await begin(hub, Audience(lambda event: event.lock == "1f00a1"))
        all_of_it = await begin(hub, Audience(lambda _event: True, pseudonyms=True))
        source.next = [*events(1, "1f00a2"), *events(1, "1f00a1")]
        assert b"c0ffee" in await anext(all_of_it)
        mine = await anext(own)
        assert b"-2\n" in mine, "the second event is the first that this one gets"
        assert b"c0ffee" not in mine
        await asyncio.to_thread(hub.close)

    in_loop(test)


def test_streams_are_bounded_in_all() -> None:
    async def test() -> None:
        hub = make_hub(Source(), live_in_all=2)
        hub.start()
        streams = [await begin(hub), await begin(hub)]
        with pytest.raises(TooMany):
            hub.admit("somebody else")
        await streams[0].aclose()  # type: ignore[attr-defined]
        hub.admit("somebody else")
        await asyncio.to_thread(hub.close)

    in_loop(test)


def test_what_has_left_the_ring_cannot_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_RING", 10)

    async def test() -> None:
        source = Source()
        hub = make_hub(source)
        hub.start()
        source.next = events(30)
        await until(lambda: hub._number == 30)
        for number, expected in ((19, b"event: reset"), (20, b"event: record"), (29, b"event: record")):
            stream = hub.follow(ALL, "me", hub._id(number), lambda: True)
            await anext(stream)
            assert expected in await anext(stream), number
        await asyncio.to_thread(hub.close)

    in_loop(test)

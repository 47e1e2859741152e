"""The control socket: one JSON object a line is one action; one JSON object a line is its outcome.

→ {"do":"pour","lock":"1f00a1","chamber":1}
← {"ok":true,"answer":"authorised","newest_before":17,"newest":18}
← {"ok":false,"error":"there is no lock '1f00a9'; there are …"}
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from firmware_sim.actions import parse_action
from firmware_sim.errors import SimulatorError, UnknownTarget
from firmware_sim.stage import Stage

MAX_LINE_BYTES = 64 * 1024


class Control:
    """Listens on a Unix socket. The actions of one connection are done one after the other."""

    def __init__(self, path: Path, stage: Stage, fail: Callable[[BaseException], None]) -> None:
        """`fail`: gets the error after which the simulator can't go on."""
        self._path = path
        self._fail = fail
        self._stage = stage
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, replacing a socket that an earlier run left. Raises SimulatorError."""
        try:
            if self._path.is_socket():
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._talk, self._path, limit=MAX_LINE_BYTES)
        except OSError as error:
            raise SimulatorError(
                f"{self._path}: can't listen: {error.strerror}; name another --control"
            ) from error

    async def stop(self) -> None:
        """Hang up on everybody and take the socket away."""
        if self._server is None:
            return
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._do(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line beyond all bounds: hang up
        except SimulatorError as error:
            self._fail(error)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _do(self, line: bytes) -> dict[str, object]:
        try:
            fields = json.loads(line)
        except ValueError as error:
            return {"ok": False, "error": f"not JSON: {error}"}
        try:
            action = parse_action(fields)
            if action.at_s is not None or action.every_s is not None:
                raise UnknownTarget("at_s and every_s are for scenario files: what comes here is done now")
            return {"ok": True, **await self._stage.perform(action)}
        except UnknownTarget as error:
            return {"ok": False, "error": str(error)}

"""Fills a small disk with pages, and tells what the spool does then and afterwards. Run by test_spool_room.

    python -m tests.unit.edge_agent.full_disk_child DIRECTORY

DIRECTORY is the root of a file system of a few MiB. Prints one JSON object.
"""

import json
import sys
from pathlib import Path

from edge_agent.alarms import Alarms
from edge_agent.errors import SpoolFull
from edge_agent.spool import Spool
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    MIB,
    Clock,
    active,
    all_pages,
    assert_chain,
    make_spool,
    receipt_for,
    visit,
)

_PAGES_MAX = 2000


class Scenario:
    """One spool, sealing pages of 100 records each."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "spool.db"
        self.junk = directory / "junk"
        self.alarms = Alarms()
        self.told: list[str] = []
        self.sealed = 0
        self.spool = self._make()
        self.spool.start()

    def _make(self) -> Spool:
        return make_spool(self.path, Clock(), max_bytes=1024 * MIB, reserve_bytes=4 * MIB, alarms=self.alarms)

    def seal(self) -> bool:
        """Seal one more page; False where there is no room."""
        try:
            self.spool.seal(visit(seq=self.sealed + 1, count=100))
        except SpoolFull:
            return False
        self.sealed += 100
        return True

    def fill(self) -> None:
        """Seal until it is refused three times running: tidying up once gives a little room again."""
        refused = 0
        for _ in range(_PAGES_MAX):
            refused = 0 if self.seal() else refused + 1
            if refused == 3:
                return
        raise AssertionError("the disk doesn't get full")

    def cursor_is_true(self) -> bool:
        cursor = self.spool.cursor("1f00a1")
        return cursor is not None and cursor.seq == self.sealed

    def fill_with_junk(self) -> None:
        """Somebody else takes what is left of the disk."""
        try:
            with self.junk.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            return

    def open_again(self) -> None:
        assert self.spool.failure is None
        self.spool = self._make()
        self.spool.start()


def main() -> None:
    scenario = Scenario(Path(sys.argv[1]))
    told: dict[str, object] = {}

    scenario.fill()
    told["full of pages"] = scenario.sealed > 0 and scenario.cursor_is_true()
    told["alarm"] = [text.partition(":")[0] for text in scenario.alarms.texts()]
    told["stays refused"] = not scenario.seal() and scenario.cursor_is_true()

    newest = active(scenario.path).newest_page
    scenario.spool.apply_receipt(receipt_for(scenario.path, newest // 2))
    told["receipt noted on a full disk"] = active(scenario.path).committed_through == newest // 2
    told["goes on after receipts"] = wait_until(scenario.seal, 20, "room for a page", poll_s=0.2)
    told["alarm is over"] = scenario.alarms.texts() == ()

    scenario.spool.close()  # in order: no log is left, and the reserve is whole
    scenario.fill_with_junk()
    scenario.open_again()
    told["starts on a disk that was filled while it was away"] = scenario.cursor_is_true()

    scenario.fill()
    scenario.spool.close()
    scenario.open_again()
    told["starts on a full disk"] = scenario.cursor_is_true()
    scenario.junk.unlink()
    wait_until(scenario.seal, 20, "room for a page", poll_s=0.2)
    told["goes on when others made room"] = scenario.cursor_is_true()
    scenario.spool.close()
    assert scenario.spool.failure is None

    pages = all_pages(scenario.path)
    assert_chain(pages)
    told["no page missing"] = (
        pages[-1].page == active(scenario.path).newest_page and len(pages) >= newest - newest // 2
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()

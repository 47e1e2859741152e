"""The gateway's disk: full, corrupt, lost, restored from an old copy. What was confirmed to a controller stays safe."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.chain import Chain
from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import journals
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.support.waiting import wait_until

MIB = 1024 * 1024


def quick(**agent: dict[str, object]) -> Settings:
    return Settings(poll_interval_s=0.1, sink=QUICK_SINK, agent=agent)


def test_full_disk_stops_confirming_and_goes_on_by_itself_when_there_is_room(start_chain: StartChain) -> None:
    def give_the_spool_a_small_disk(chain: Chain) -> None:
        chain.layout.directory.joinpath("disk").mkdir(parents=True)
        # A private mount: nobody else sees it, and it is gone with the process.
        mount = f"mount -t tmpfs -o size=6m tmpfs {chain.layout.directory / 'disk'}"
        own_mounts = "-m" if os.geteuid() == 0 else "-rm"
        in_it = ["unshare", own_mounts, "sh", "-c", f'{mount} && exec "$@"', "sh"]
        chain.agent.command = [*in_it, *chain.agent.command]

    settings = quick(spool={"path": "disk/spool.db", "reserve_mib": 1})
    chain = start_chain(small_estate(rtu=False), settings, before_start=give_the_spool_a_small_disk)
    chain.wait_equal(60)
    disk = Path(f"/proc/{chain.agent.pid}/root") / str(chain.layout.directory / "disk")[1:]
    chain.sink.stop()  # so that nothing can be pruned
    pour_until(
        chain,
        lambda: "the disk is full" in chain.agent.log.read_text(),
        meanwhile=lambda: fill(disk / "somebody-elses-file"),  # whatever room the agent still makes
    )
    assert chain.agent.running
    pour(chain, 20)
    assert chain.unconfirmed() >= 20, "confirmed, though nothing could be written"
    (disk / "somebody-elses-file").unlink()
    chain.wait_drained(60)
    chain.sink.start()
    assert_ledger_is_truth(chain, at_least=20)


def test_full_quota_leaves_the_rest_in_the_rings_until_the_ledger_has_caught_up(
    start_chain: StartChain,
) -> None:
    estate = small_estate(tcp_locks=4, rtu=False, capacity=2000, pours_per_day=100)
    chain = start_chain(estate, quick(spool={"max_mib": 1}), backlog_days=18, leave_out=("cloud-sink",))
    wait_until(lambda: "SpoolFull" in chain.agent.log.read_text(), 60, "the quota to be used up")
    pour(chain, 4)
    assert chain.unconfirmed() > 300, "the spool took more than its quota"
    assert chain.agent.running
    chain.sink.start()
    assert_ledger_is_truth(chain, at_least=6500)


@pytest.mark.parametrize("damage", ["in the middle", "torn off", "header", "not a database"])
def test_corrupt_spool_is_set_aside_and_nothing_is_lost(start_chain: StartChain, damage: str) -> None:
    chain = start_chain(settings=quick())
    chain.wait_equal(60)
    chain.broker.stop()
    pour(chain, 12)
    chain.wait_drained(60)  # these twelve are on the gateway's disk only, for all that anybody was told
    chain.agent.kill()
    harm(chain.layout.spool, damage)
    chain.agent.start()
    chain.start_broker()
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=15)


def test_lost_spool_begins_a_new_journal_and_reads_the_rings_again(start_chain: StartChain) -> None:
    chain = start_chain(settings=quick())
    chain.wait_equal(60)
    chain.broker.stop()
    pour(chain, 12)
    chain.wait_drained(60)
    chain.agent.kill()
    remove_spool(chain.layout.spool)
    chain.agent.start()
    chain.start_broker()
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=15)
    assert len(journals(chain)) == 2


def test_spool_restored_from_an_old_copy_loses_and_doubles_nothing(start_chain: StartChain) -> None:
    chain = start_chain(settings=quick())
    chain.wait_equal(60)
    chain.agent.stop()
    copy = chain.layout.directory / "copy"
    copy.mkdir()
    for part in spool_files(chain.layout.spool):
        shutil.copy2(part, copy)
    chain.agent.start()
    pour(chain, 12)
    chain.wait_equal(60)  # pages that the copy knows nothing of are in the ledger
    chain.agent.kill()
    pour(chain, 3)
    remove_spool(chain.layout.spool)
    for part in copy.iterdir():
        shutil.copy2(part, chain.layout.directory)
    chain.agent.start()
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=18)
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=21)


def fill(path: Path) -> None:
    """Write on until the disk is full."""
    with path.open("ab", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def pour_until(chain: Chain, reached: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    """Let residents pour until then."""
    for _ in range(300):
        if reached():
            return
        meanwhile()
        pour(chain, 2)
        chain.agent.check()
    raise AssertionError(f"not reached after 600 pours\n{chain.story()}")


def spool_files(spool: Path) -> list[Path]:
    """Return the spool's file and what SQLite keeps beside it."""
    return [
        path for suffix in ("", "-wal", "-shm") if (path := spool.with_name(spool.name + suffix)).exists()
    ]


def remove_spool(spool: Path) -> None:
    for path in spool_files(spool):
        path.unlink()


def harm(spool: Path, damage: str) -> None:
    """Do to the file what worn-out SD cards do."""
    size = spool.stat().st_size
    if damage == "torn off":
        os.truncate(spool, size // 2)
        return
    with spool.open("r+b") as file:
        if damage == "header":
            file.write(bytes(100))
        elif damage == "in the middle":
            file.seek(4096)
            file.write(os.urandom(min(3 * 4096, size - 4096)))
        else:
            file.truncate(0)
            file.write(b"no database at all\n" * 1000)

"""The simulator as a process: lives, is killed, goes on; control, scenario, and what can't work."""

import json
import resource
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.unit.firmware_sim.process import Simulator, taken_port
from wastelock.registers import decode_identity

READ_IDENTITY = struct.pack(">BHH", 4, 0, 32)
READ_ONE = struct.pack(">BHH", 4, 0, 1)
MAGIC = bytes.fromhex("0402574c")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Three quiet locks, two on a line, one on TCP: for all tests that leave nothing behind to stumble over."""
    with Simulator(tmp_path_factory.mktemp("estate")) as running:
        yield running


def words(answer: bytes) -> tuple[int, ...]:
    assert answer[1] == len(answer) - 2
    return struct.unpack(f">{answer[1] // 2}H", answer[2:])


# --- life, kills, restarts


def test_backlog_is_lived_before_ready_and_survives_a_kill(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--backlog-days", "30", extra="dwellings = 10\ncapacity = 512")
    with simulator:
        lived = simulator.truth()
        counts = {lock: len(simulator.truth(lock)) for lock in ("1f00a1", "1f00a2", "1f00a3")}
        assert all(100 < count < 512 for count in counts.values())
        simulator.control(do="pour", lock="1f00a1", instant=True)
        simulator.kill()
        whole = simulator.truth_path.read_bytes()
        simulator.truth_path.write_bytes(whole[:-150])
        simulator.start()
        restarted = simulator.truth_path.read_bytes()
        assert restarted.startswith(whole), "journal first, then truth: what was torn is completed"
        after = simulator.truth()
        assert [t["kind"] for t in after[len(lived) + 1 :] if t["lock"] == "1f00a3"] == [7, 10, 10]
        assert {simulator.status(lock)["boot"] for lock in counts} == {2}
        assert max(t["made_at"] for t in lived) < min(t["made_at"] for t in after[len(lived) :])


def test_backlog_ends_where_the_ring_is_full_as_in_life(tmp_path: Path) -> None:
    with Simulator(tmp_path, "--backlog-days", "60", extra="dwellings = 24\ncapacity = 100") as simulator:
        status = simulator.status("1f00a1")
        assert status["state"] == "out_of_service" and "journal_nearly_full" in status["faults"]
        assert 2 <= status["free"] < 12
        answer = simulator.control(do="pour", lock="1f00a1", instant=True)
        assert answer["answer"] == "out_of_service" and answer["newest"] == answer["newest_before"]


def test_same_seed_lives_the_same_backlog(tmp_path: Path) -> None:
    told = []
    for name, seed in (("one", "5"), ("two", "5"), ("three", "6")):
        (tmp_path / name).mkdir()
        with Simulator(
            tmp_path / name, "--seed", seed, "--backlog-days", "9", extra="dwellings = 8"
        ) as simulator:
            pours = [t for t in simulator.truth("1f00a1") if t["kind"] == 1]
            told.append([(t["uid"], t["chamber"], t["result"]) for t in pours])
    # The backlogs begin and end some seconds apart: a visit may be in one and not in the other at either edge.
    common = told[0][2:-2]
    assert len(common) > 10
    assert any(told[1][at : at + len(common)] == common for at in range(5))
    assert {uid for uid, *_ in told[0]}.isdisjoint({uid for uid, *_ in told[2]})


def test_backlog_of_a_year_is_lived_as_fast_as_it_is_confirmed(tmp_path: Path) -> None:
    options = ("--backlog-days", "365", "--keep-pace")
    extra = "dwellings = 24\ncapacity = 100"
    with Simulator(tmp_path, *options, extra=extra) as simulator, simulator.tcp() as tcp:
        place = partial(simulator.status, "1f00a3")
        wait_until(lambda: place()["newest"] >= 50, 30, "half a ring")
        for _ in range(3):
            status = place()
            assert not status["backlog_done"] and status["state"] == "locked"
            assert status["newest"] - status["confirmed"] < 60
            assert status["clock_s"] == pytest.approx(
                time.time(), abs=5
            )  # lives in the past, shows the present
            assert time.time() - status["lived_until_s"] > 300 * 86_400
            seq = status["newest"]
            slot = tcp.ask(struct.pack(">BHH", 4, 0x4000 + seq % 100 * 22, 22))
            confirm = struct.pack(">BHHBII", 16, 0x0100, 6, 12, status["epoch"], seq) + slot[-4:]
            assert tcp.ask(confirm)[0] == 16
            wait_until(lambda seq=seq: place()["newest"] >= seq + 50, 30, "another half of the ring")  # type: ignore[misc]
        pours = [line for line in simulator.truth("1f00a3") if line["kind"] == 1]
        assert pours[-1]["began_clock_s"] < time.time() - 300 * 86_400
        assert [line["seq"] for line in simulator.truth("1f00a3")] == list(range(1, place()["newest"] + 1))
        simulator.stop()
    with Simulator(tmp_path, *options, extra=extra) as simulator:
        assert not simulator.status("1f00a3")["backlog_done"], "goes on where it was"
        assert simulator.truth("1f00a3")[-1]["kind"] in (7, 10)


def test_residents_live_fast_and_stop_when_told(tmp_path: Path) -> None:
    with Simulator(tmp_path, "--speed", "100000", extra="dwellings = 30") as simulator:
        wait_until(lambda: len(simulator.truth()) > 60, 30, "residents' records")
        simulator.control(do="residents", come=False)
        simulator.control(do="residents", come=True, lock="1f00a1")
        assert (
            simulator.status("1f00a1")["residents_come"] and not simulator.status("1f00a2")["residents_come"]
        )
        registers = simulator.status("1f00a1")["registers"]
        wait_until(lambda: simulator.status("1f00a1")["registers"] != registers, 30, "another pour at lock 1")
        assert {t["clock_status"] for t in simulator.truth() if t["kind"] == 1} == {1}


def test_sigterm_ends_it_cleanly_and_takes_link_and_socket_away(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--speed", "1000", extra="dwellings = 30").start()
    link = Path(simulator.buses["yard"]["device"])
    assert link.is_symlink() and simulator.control_path.is_socket()
    with simulator.tcp() as tcp:
        assert tcp.ask(READ_ONE) == MAGIC
        assert simulator.stop() == 0
    assert not link.is_symlink() and not simulator.control_path.exists()


def test_sigint_while_a_backlog_is_lived_ends_it_and_the_next_start_goes_on(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--backlog-days", "3000", extra="dwellings = 40")
    process = subprocess.Popen(simulator.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    path = simulator.truth_path
    wait_until(lambda: path.exists() and path.stat().st_size, 20, "the first records")
    process.send_signal(signal.SIGINT)
    output, problems = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, b""), problems.decode()
    before = simulator.truth_path.read_bytes()
    with simulator:
        assert simulator.truth_path.read_bytes().startswith(before)
        assert simulator.status("1f00a3")["state"] == "out_of_service"


def test_link_is_taken_over_from_a_killed_run(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        link = Path(simulator.buses["yard"]["device"])
        simulator.kill()
        assert link.is_symlink() and not link.exists(), "it leads nowhere, to nobody else's terminal"
        simulator.start()
        with simulator.rtu() as rtu:
            assert rtu.ask(READ_ONE, 4) == MAGIC


def test_controller_swap_outlives_a_restart_and_is_undone(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        simulator.control(do="swap_controller", lock="1f00a3", serial="1f00b3", epoch=4)
        simulator.stop()
        simulator.start()
        with simulator.tcp() as tcp:
            identity = decode_identity(words(tcp.ask(READ_IDENTITY)))
            assert (identity.serial, identity.epoch) == (0x1F00B3, 4)
        assert simulator.status("1f00a3")["serial"] == "1f00b3"
        simulator.control(do="swap_controller", lock="1f00a3", serial="1f00a3")
        with simulator.tcp() as tcp:
            assert decode_identity(words(tcp.ask(READ_IDENTITY))).serial == 0x1F00A3
        assert simulator.status("1f00a3")["boot"] == 2
    assert [t["boot"] for t in simulator.truth("1f00b3") if t["kind"] == 7] == [1, 2]


# --- control and scenario


def test_actions_do_what_they_say(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator:
        perform_each_action(simulator, "1f00a1")


def perform_each_action(simulator: Simulator, lock: str) -> None:

    def newest(n: int) -> list[tuple[int, int, int]]:
        return [(t["kind"], t["result"], t["flags"] & ~3) for t in simulator.truth(lock)[-n:]]

    before = len(simulator.truth(lock))
    assert simulator.control(do="pour", lock=lock, uid="99", instant=True)["answer"] == "unknown"
    for action in ("container_full", "emptying", "container_swap", "clock_loss"):
        simulator.control(do=action, lock=lock)
    simulator.control(do="maintenance", lock=lock, begins=True)
    simulator.control(do="maintenance", lock=lock, begins=False)
    simulator.control(do="maintenance", lock=lock, begins=True)
    simulator.control(do="residents", come=False)
    simulator.control(do="alarm", lock=lock, bit="tamper")
    simulator.control(do="alarm", lock=lock, bit="tamper", raised=False)
    simulator.control(do="degraded", lock=lock)
    simulator.control(do="repaired", lock=lock)
    kinds = [t["kind"] for t in simulator.truth(lock)[before:]]
    assert kinds == [2, 5, 3, 6, 4, 5, 9, 9, 9, 9, 5, 6, 5, 6]
    simulator.control(do="power_cut", off_s=0)
    wait_until(lambda: {one["boot"] for one in simulator.control(do="status")["locks"]} == {2}, 10, "power")
    assert newest(3) == [(7, 0, 0), (10, 0, 0), (10, 0, 0)]
    wrapped = simulator.control(do="register_wrap", lock=lock, when="now", before=1)
    assert wrapped["epoch"] == 2 and simulator.status(lock)["registers"] == [2**32 - 1] * 2
    refused = simulator.try_control(b'{"do":"new_epoch","lock":"1f00a2","wait_s":0.1}')
    assert not refused["ok"] and "confirmed 0 of" in refused["error"]


def has_booted(simulator: Simulator, lock: str, times: int) -> bool:
    return bool(simulator.status(lock)["boot"] == times)


def test_resident_pours_jams_and_loses_power_on_order(tmp_path: Path) -> None:
    extra = 'transponders = [{ uid = "abc" }]\ndwellings = 1\npours_per_day = 0'
    with Simulator(tmp_path, "--speed", "50", extra=extra) as sim:
        lock = "1f00a3"

        def pours() -> list[tuple[int, int]]:
            return [(t["result"], t["flags"] >> 2) for t in sim.truth(lock) if t["kind"] == 1]

        sim.control(do="residents", come=False)
        assert sim.control(do="pour", lock=lock, chamber=2)["answer"] == "authorised"
        assert pours() == [(0, 0)] and sim.truth(lock)[-1]["uid"] == f"{0xABC:016x}"
        sim.control(do="jam", lock=lock)
        sim.control(do="pour", lock=lock)
        assert pours()[1:] == [(2, 0), (0, 0b0001)]
        sim.control(do="pour", lock=lock, outcome="given_up", instant=True)
        sim.control(do="pour", lock=lock, outcome="never_opened", instant=True)
        assert pours()[3:] == [(1, 0)]
        boot = 1
        for at, results in (
            ("mid_cycle", [(1, 0b1000)]),
            ("after_discharge", [(0, 0b1000)]),
            ("authorised", []),
        ):
            count, boot = len(pours()), boot + 1
            sim.control(do="power_cut", lock=lock, at=at, off_s=0)
            sim.control(do="pour", lock=lock, instant=True)
            wait_until(partial(has_booted, sim, lock, boot), 10, "power")
            assert pours()[count:] == results
        sim.control(do="jam", lock=lock, stuck=True)
        sim.control(do="pour", lock=lock, instant=True)
        sim.control(do="pour", lock=lock, instant=True)
        assert pours()[-2:] == [(2, 0), (0, 0b0100)], "blocked, so the larger one opened"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"pour", "not JSON"),
        (b"3", "valid dictionary"),
        (b'{"do":"pour","lock":"1f00a9"}', "there is no lock"),
        (b'{"do":"pour","lock":"1f00a1"}', "nobody lives at lock 1f00a1"),
        (b'{"do":"jam","lock":"1f00a1","at_s":3}', "for scenario files"),
        (b'{"do":"torn_record","lock":"1f00a1","word":22}', "word"),
    ],
)
def test_control_refuses_what_cant_be_done_and_goes_on(simulator: Simulator, line: bytes, told: str) -> None:
    outcome = simulator.try_control(line)
    assert not outcome["ok"] and told in outcome["error"]
    assert simulator.control(do="status")["locks"]


def test_scenario_is_played_while_it_runs(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        '[[actions]]\nat_s = 0.1\nevery_s = 0.05\ntimes = 3\ndo = "pour"\nlock = "1f00a3"\nuid = "7"\ninstant = true\n'
        '[[actions]]\nat_s = 0.05\ndo = "maintenance"\nlock = "1f00a1"\nbegins = true\n'
        '[[actions]]\nat_s = 0.0\ndo = "pour"\nlock = "1f00a2"\n'
    )
    with Simulator(tmp_path, "--scenario", str(scenario)) as simulator:
        wait_until(lambda: simulator.status("1f00a1")["state"] == "maintenance", 10, "maintenance")
        wait_until(
            lambda: [t["kind"] for t in simulator.truth("1f00a3")].count(2) == 1, 10, "one denial a minute"
        )


# --- what can't work


def test_taken_port_second_simulator_and_contradicting_state_are_told(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        second = Simulator(tmp_path)
        with pytest.raises(AssertionError, match="another simulator runs here"):
            second.start()
    estate = simulator.config.read_text()
    with taken_port() as taken:
        simulator.config.write_text(
            estate.replace('kind = "tcp"', f'kind = "tcp"\nport = {taken.getsockname()[1]}')
        )
        with pytest.raises(AssertionError, match=r"bus 'street': can't listen on 127\.0\.0\.1"):
            simulator.start()
    simulator.config.write_text(estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\ncapacity = 99'))
    with pytest.raises(
        AssertionError, match=r"1f00a2: capacity isn't what epoch 1 began with.*raise `epoch` to 2"
    ):
        simulator.start()
    simulator.config.write_text(
        estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\ncapacity = 99\nepoch = 2')
    )
    mixed = simulator.config.read_text()
    simulator.config.write_text(
        estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\nchambers_ml = [5000]')
    )
    with pytest.raises(AssertionError, match="1f00a2: number of chambers_ml isn't what epoch 1 began with"):
        simulator.start()
    simulator.config.write_text(mixed)
    with simulator:
        status = simulator.status("1f00a2")
        assert (status["capacity"], status["epoch"]) == (99, 2)
        assert [(t["epoch"], t["seq"], t["kind"]) for t in simulator.truth("1f00a2")][-5:] == [
            (2, 1, 10), (2, 2, 10), (2, 3, 7), (2, 4, 10), (2, 5, 10),
        ]  # fmt: skip


def test_chamber_is_exchanged_within_an_epoch(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    with simulator:
        simulator.stop()
        estate = simulator.config.read_text()
        simulator.config.write_text(
            estate.replace('serial = "1f00a2"', 'serial = "1f00a2"\nchambers_ml = [4500, 20000]')
        )
        simulator.start()
        reports = [t for t in simulator.truth("1f00a2") if t["kind"] == 10 and t["chamber"] == 1]
    assert [t["volume_ml"] for t in reports] == [5000, 5000, 4500]


def test_link_that_is_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "yard").write_text("precious")
    with pytest.raises(AssertionError, match="yard: is there and no link to a pseudo-terminal"):
        Simulator(tmp_path).start()
    assert (tmp_path / "yard").read_text() == "precious"


def test_full_disk_ends_the_process_with_a_message_and_nothing_torn(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path).start()
    told = simulator.truth()
    grown = max(path.stat().st_size for path in (tmp_path / "state").iterdir())
    resource.prlimit(simulator.pid, resource.RLIMIT_FSIZE, (grown, grown))
    with pytest.raises((json.JSONDecodeError, OSError, AssertionError)):
        for n in range(10_000):
            simulator.control(do="pour", lock="1f00a3", uid=f"{n + 1:x}", instant=True)
    code, problems = simulator.wait()
    assert code == 1
    assert "can't be written any more" in problems or "truth" in problems
    with simulator:
        again = simulator.truth()
        assert again[: len(told)] == told
        seqs = [t["seq"] for t in simulator.truth("1f00a3")]
        assert seqs == list(range(1, len(seqs) + 1))

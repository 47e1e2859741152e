"""Configuration and scenario: what is wrong is told at once, with file, key and remedy, and exit code 78."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_sim.cli import app
from firmware_sim.config import load_estate
from firmware_sim.errors import ConfigError
from firmware_sim.scenario import load_scenario

ROOT = Path(__file__).parents[3]
BUSES = '[[buses]]\nname = "a"\nkind = "tcp"\n[[buses]]\nname = "b"\nkind = "rtu"\ndevice = "line"\n'
LOCK = '[[locks]]\nserial = "1f00a1"\nbus = "a"\nunit = 1\n'
OTHER = '[[locks]]\nserial = "1f00a2"\nbus = "b"\nunit = 1\nchambers_ml = [5000]\n'


def write(tmp_path: Path, text: str, name: str = "estate.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_examples_are_good_and_hold_every_action(tmp_path: Path) -> None:
    estate = load_estate(ROOT / "config" / "sim-estate.toml")
    assert sum(lock.dwellings for lock in estate.locks) == 120
    assert [lock.serial for lock in estate.locks] == [f"1f00a{n}" for n in range(1, 6)]
    assert {lock.bus for lock in estate.locks[:3]} == {"yard"} and {x.bus for x in estate.locks[3:]} == {
        "street"
    }
    actions = load_scenario(ROOT / "config" / "sim-scenario.toml", estate)
    from firmware_sim.actions import ADAPTER

    shown = {action.do for action in actions}
    assert shown == set(ADAPTER.json_schema()["discriminator"]["mapping"]) - {"status"}
    faults = set(next(d for d in ADAPTER.json_schema()["$defs"].values() if d["properties"]["do"]["const"] == "fault")
                 ["properties"]["fault"]["enum"])  # fmt: skip
    assert {action.fault for action in actions if action.do == "fault"} == faults


def test_demo_keys_are_those_of_the_lock_key_file() -> None:
    from hashlib import sha256

    for lock in load_estate(ROOT / "config" / "sim-estate.toml").locks:
        assert lock.mac_key == sha256(f"wastelock-demo-{lock.serial}".encode()).digest()[:16].hex()
        assert (lock.capacity, lock.chambers_ml, lock.mac_key_id) == (2047, (5000, 20000), 1)


def test_device_links_are_relative_to_the_file(tmp_path: Path) -> None:
    estate = load_estate(write(tmp_path, BUSES + LOCK))
    assert estate.buses[1].device == tmp_path / "line"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["buses", "locks"]),
        ("[[buses", ["not TOML"]),
        (BUSES + LOCK + "colour = 'red'\n", ["locks.0.colour", "Extra inputs"]),
        (BUSES + LOCK.replace("1f00a1", "1F00A1"), ["locks.0.serial"]),
        (BUSES + LOCK.replace("1f00a1", "0"), ["serial 0 is no serial number"]),
        (BUSES + LOCK.replace('"a"', '"c"'), ["there is no bus 'c'"]),
        (BUSES + LOCK.replace("unit = 1", "unit = 248"), ["locks.0.unit"]),
        (BUSES + LOCK + LOCK, ["two locks have serial 1f00a1", "two locks are unit 1 on bus 'a'"]),
        (BUSES + LOCK + OTHER.replace("1f00a2", "01f00a1"), ["two locks have serial 1f00a1"]),
        (BUSES + BUSES + LOCK, ["two buses are named 'a'", "two buses are named 'b'"]),
        (BUSES.replace('device = "line"\n', "") + LOCK, ["an rtu bus needs `device`"]),
        (
            BUSES + LOCK + "capacity = 31\nchambers_ml = [70000]\n",
            ["locks.0.capacity", "locks.0.chambers_ml.0"],
        ),
        (BUSES + LOCK + "mac_key = '00'\n", ["locks.0.mac_key"]),
        (
            BUSES + LOCK + f"mac_key = '{'00' * 16}'\n",
            ["mac_key and a mac_key_id other than 0 belong together"],
        ),
        (BUSES + LOCK + "registers = [1]\n", ["give one for each of the 2 chambers"]),
        (
            BUSES + LOCK + 'transponders = []\nhouseholds = [{ persons = 1, transponders = ["1"] }]\n',
            ["households come with transponders of their own"],
        ),
    ],
)
def test_all_that_is_wrong_with_an_estate_is_told(tmp_path: Path, text: str, told: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_estate(path)
    for line in str(caught.value).splitlines():
        assert line.startswith(f"{path}: ")
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ('do = "pour"\nlock = "1f00a1"', "at_s is missing"),
        ('at_s = 1\nlock = "1f00a1"', "'do'"),
        ('at_s = 1\ndo = "dance"', "dance"),
        ('at_s = 1\ndo = "pour"\nlock = "1f00a9"', "there is no lock '1f00a9'; there are 1f00a1, 1f00a2"),
        ('at_s = 1\ndo = "pour"\nlock = "1f00a2"\nchamber = 2', "lock 1f00a2 has no chamber 2"),
        ('at_s = 1\ndo = "pour"\nlock = "1f00a1"\ncolour = "red"', "colour"),
        ('at_s = 1\ntimes = 2\ndo = "jam"\nlock = "1f00a1"', "times needs every_s"),
        ('at_s = 1\ndo = "fault"\nfault = "silence"', "name either a lock or a bus"),
        (
            'at_s = 1\ndo = "fault"\nfault = "silence"\nlock = "1f00a1"\nbus = "a"',
            "name either a lock or a bus",
        ),
        ('at_s = 1\ndo = "fault"\nfault = "silence"\nbus = "c"', "there is no bus 'c'; there are a, b"),
        ('at_s = 1\ndo = "fault"\nfault = "broken_crc"\nlock = "1f00a1"', "Modbus TCP has no CRC"),
        (
            'at_s = 1\ndo = "fault"\nfault = "reset_connection"\nlock = "1f00a2"',
            "a serial line has no connection",
        ),
        ('at_s = 1\ndo = "power_cut"\nat = "mid_cycle"', "name the lock whose next pour it is"),
        (
            'at_s = 1\ndo = "swap_controller"\nlock = "1f00a1"\nserial = "1f00a2"',
            "another lock of this estate",
        ),
        (
            'at_s = 1\ndo = "new_epoch"\nlock = "1f00a1"\nmac_key_id = 3',
            "mac_key and mac_key_id belong together",
        ),
    ],
)
def test_all_that_is_wrong_with_a_scenario_is_told(tmp_path: Path, action: str, told: str) -> None:
    estate = load_estate(write(tmp_path, BUSES + LOCK + OTHER))
    good = '[[actions]]\nat_s = 0\ndo = "jam"\nlock = "1f00a1"\n'
    path = write(tmp_path, f"{good}[[actions]]\n{action}\n{good}", "scenario.toml")
    with pytest.raises(ConfigError) as caught:
        load_scenario(path, estate)
    assert str(caught.value).startswith(f"{path}: action 2 (")
    assert told in str(caught.value)


def test_scenario_is_played_in_order_of_time(tmp_path: Path) -> None:
    estate = load_estate(write(tmp_path, BUSES + LOCK))
    text = "".join(f'[[actions]]\nat_s = {at}\ndo = "jam"\nlock = "1f00a1"\n' for at in (30, 5, 20.5))
    actions = load_scenario(write(tmp_path, text, "scenario.toml"), estate)
    assert [action.at_s for action in actions] == [5, 20.5, 30]


@pytest.mark.parametrize("text", ["[[actions", "actions = 3", "other = 1\n"])
def test_file_that_is_no_scenario_is_named(tmp_path: Path, text: str) -> None:
    estate = load_estate(write(tmp_path, BUSES + LOCK))
    with pytest.raises(ConfigError, match=r"scenario\.toml: "):
        load_scenario(write(tmp_path, text, "scenario.toml"), estate)
    with pytest.raises(ConfigError, match=r"nowhere\.toml: can't be read"):
        load_scenario(tmp_path / "nowhere.toml", estate)


def test_check_says_what_it_found_and_ends_with_78_where_something_is_wrong(tmp_path: Path) -> None:
    good, bad = write(tmp_path, BUSES + LOCK), write(tmp_path, LOCK, "bad.toml")
    scenario = write(tmp_path, '[[actions]]\nat_s = 1\ndo = "jam"\nlock = "1f00a1"\n', "scenario.toml")
    runner = CliRunner()
    found = runner.invoke(app, ["check", "--config", str(good), "--scenario", str(scenario)])
    assert (found.exit_code, found.stdout.count("1 locks on 2 buses")) == (0, 1)
    assert "1 actions" in found.stdout
    for command in (["check"], ["run", "--state", str(tmp_path / "state")]):
        refused = runner.invoke(app, [*command, "--config", str(bad)])
        assert refused.exit_code == 78
        assert "bad.toml: buses: Field required" in refused.stderr
    broken = write(tmp_path, '[[actions]]\nat_s = 1\ndo = "jam"\nlock = "1f00a7"\n', "broken.toml")
    refused = runner.invoke(app, ["check", "--config", str(good), "--scenario", str(broken)])
    assert refused.exit_code == 78 and "there is no lock '1f00a7'" in refused.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["run", "check"])
def test_help_shows_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).stdout
    assert f"firmware-sim {command} --config" in " ".join(shown.split())

"""The units that are shipped, looked at with systemd's own programs: they hold together, and are shut tight.

No systemd has to run: its units and ours lie in a directory that is looked at as if it were a machine.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cloud_sink.metrics import STUCK_AFTER_S as SINK_STUCK_AFTER_S
from edge_agent.agent import STUCK_AFTER_S as AGENT_STUCK_AFTER_S
from edge_agent.local.address import RUNTIME_DIRECTORY
from tests.support.debian_machine import DebianMachine

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(path.name for path in SYSTEMD.glob("wastelock-*.*") if path.suffix != ".d")
SERVICES = [name for name in UNITS if name.endswith(".service")]
PROGRAMS = {"edge-agent": "usr/bin", "cloud-sink": "opt/wastelock/bin", "portal": "opt/wastelock/bin",
            "billing-aggregator": "opt/wastelock/bin", "sh": "bin"}  # fmt: skip
MOST_EXPOSED = 15  # in tenths of what `systemd-analyze security` shows
# Units and their loops: how long one may take before the program itself calls it stuck.
STUCK_AFTER_S = {
    "wastelock-edge-agent.service": AGENT_STUCK_AFTER_S,
    "wastelock-cloud-sink.service": SINK_STUCK_AFTER_S,
    "wastelock-cloud-project.service": SINK_STUCK_AFTER_S,
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with systemd's units, ours, and files where the programs would be."""
    assert shutil.which("systemd-analyze"), "install systemd: tools/setup does it on Debian"
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree("/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    shutil.copytree(SYSTEMD, root / "etc/systemd/system")
    for name, directory in PROGRAMS.items():
        (root / directory).mkdir(parents=True, exist_ok=True)
        (root / directory / name).touch(0o755)
    return root


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60
    )


def settings_of(name: str) -> dict[str, list[str]]:
    """Return all values of each setting of a unit and its drop-ins, in systemd's order."""
    own = name.removesuffix(".service")
    prefixes = {own.rpartition("-")[0] + "-", own}
    found: dict[str, list[str]] = {}
    for file in (SYSTEMD / name, *sorted(SYSTEMD.glob("*.service.d/*.conf"), key=lambda path: path.name)):
        if file.parent == SYSTEMD or file.parent.name.removesuffix(".service.d") in prefixes:
            for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", file.read_text(), re.MULTILINE):
                found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(machine: Path, name: str) -> None:
    verified = analyze("verify", "--man=no", "--recursive-errors=yes", f"--root={machine}", name)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_what_is_wrong_with_a_unit_would_be_found(machine: Path) -> None:
    (machine / "etc/systemd/system/wrong.service").write_text("[Service]\nExecStart=/usr/bin/nothing-there\n")
    assert analyze("verify", "--man=no", f"--root={machine}", "wrong.service").returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_no_more_than_it_has_to_be(name: str) -> None:
    looked_at = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(SYSTEMD / name))
    assert looked_at.returncode == 0, looked_at.stdout.splitlines()[-1]


def test_a_service_open_to_everything_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "open.service").write_text("[Service]\nExecStart=/bin/true\n")
    looked_at = analyze(
        "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(tmp_path / "open.service")
    )
    assert looked_at.returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_runs_as_nobody_special_with_its_keys_from_systemd(name: str) -> None:
    settings = settings_of(name)
    assert settings["User"][-1].startswith("wastelock")
    assert settings["NoNewPrivileges"] == ["yes"]
    assert any(
        re.fullmatch(r"keys:/etc/wastelock(-cloud)?/keys", each) for each in settings["LoadCredential"]
    )
    assert settings["RestartPreventExitStatus"] == ["78"]
    assert settings["StandardError"] == ["journal"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "billing" not in name])
def test_each_service_is_started_again_but_not_without_end(name: str) -> None:
    settings = settings_of(name)
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["1h"]
    assert int(settings["StartLimitBurst"][0]) * int(settings["RestartSec"][0].removesuffix("s")) < 3600


def test_the_agent_reaches_serial_lines_and_no_other_device() -> None:
    settings = settings_of("wastelock-edge-agent.service")
    assert settings["DevicePolicy"] == ["closed"]
    assert {each.removesuffix(" rw") for each in settings["DeviceAllow"]} == {
        *("char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS")
    }
    assert settings["SupplementaryGroups"] == ["dialout"]
    assert "PrivateDevices" not in settings


def test_technicians_reach_the_agent_by_a_directory_that_is_open_to_its_group_alone() -> None:
    settings = settings_of("wastelock-edge-agent.service")
    assert settings["RuntimeDirectory"] == [RUNTIME_DIRECTORY.name]
    assert settings["RuntimeDirectoryMode"] == ["0750"]
    assert settings["Group"] == ["wastelock"]
    assert "AF_UNIX" in settings["RestrictAddressFamilies"][0].split()
    modes = (SYSTEMD / "tmpfiles.d/wastelock-gateway.conf").read_text()
    assert f"d {RUNTIME_DIRECTORY} 0750 wastelock wastelock" in modes


@pytest.mark.parametrize(("name", "stuck_after_s"), STUCK_AFTER_S.items())
def test_a_watchdog_waits_longer_than_a_loop_may_take(name: str, stuck_after_s: float) -> None:
    settings = settings_of(name)
    assert settings["Type"] == ["notify"]
    minutes = re.fullmatch(r"(\d+)min", settings["WatchdogSec"][0])
    assert minutes is not None
    assert int(minutes[1]) * 60 > stuck_after_s


def test_the_authoritys_key_is_not_for_the_user_that_takes_in_what_anybody_sends() -> None:
    users = {
        name: settings_of(name)["User"][-1] for name in SERVICES if "authority" in name or "sink" in name
    }
    assert len(set(users.values())) == len(users) == 2


@pytest.mark.parametrize(
    ("kind", "directories"),
    [
        (
            "gateway",
            [
                "/etc/wastelock/keys root 700",
                "/var/lib/wastelock wastelock 750",
                "/var/lib/wastelock/identity wastelock 700",
            ],
        ),
        (
            "cloud",
            [
                "/etc/wastelock-cloud/keys root 700",
                "/var/lib/wastelock-cloud wastelock-cloud 750",
                "/var/lib/wastelock-authority wastelock-authority 755",
                "/var/lib/wastelock-authority/ca wastelock-authority 700",
            ],
        ),
    ],
)
def test_users_and_directories_can_be_made(tmp_path: Path, kind: str, directories: list[str]) -> None:
    machine = DebianMachine(tmp_path)
    machine.do("systemd-sysusers", str(SYSTEMD / "sysusers.d" / f"wastelock-{kind}.conf"))
    machine.do("systemd-tmpfiles", "--create", str(SYSTEMD / "tmpfiles.d" / f"wastelock-{kind}.conf"))
    paths = [each.partition(" ")[0] for each in directories]
    assert machine.do("stat", "-c", "%n %U %a", *paths).splitlines() == directories

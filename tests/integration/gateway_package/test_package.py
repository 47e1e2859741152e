"""The gateway's package on a Debian machine: what it brings, upgrades with a backlog, removal, what is never lost."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.gateway_package.conftest import NEW, OLD, QUICKLY
from tests.support.debian_machine import DebianMachine
from tools.gateway_package import build

CONFIG = "/etc/wastelock/edge-agent.toml"
SPOOL = "/var/lib/wastelock/spool.db"
UNIT = "/etc/systemd/system/multi-user.target.wants/wastelock-edge-agent.service"
ALL_KEYS = ("/etc/wastelock/keys/gateway.pem", CONFIG, SPOOL)


def release_in_force(machine: DebianMachine) -> str:
    """Return the version of the agent that a start would start."""
    code = "import importlib.metadata as m, sys; sys.path[:0] = sys.argv[1:]; print(m.version('wastelock'))"
    return machine.do("python3", "-I", "-c", code, "/usr/lib/wastelock/current/site-packages").strip()


def waiting_pages(machine: DebianMachine) -> int:
    status = json.loads(machine.do("edge-agent", "status", "--config", CONFIG, "--json"))
    return int(status["unreceipted_pages"])


def state_of(machine: DebianMachine) -> str:
    return machine.do("dpkg-query", "--show", "--showformat", "${Status} ${Version}", "wastelock-gateway")


def change_spool(machine: DebianMachine, *statements: str) -> None:
    """Change the spool behind the agent's back."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); [c.execute(s) for s in sys.argv[2:]]; c.commit()"
    machine.do("python3", "-I", "-c", code, SPOOL, *statements)


@pytest.mark.long
def test_two_builds_of_one_work_tree_are_equal_byte_by_byte(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    again = build(tmp_path, OLD, QUICKLY)
    assert sha256(again.read_bytes()).digest() == sha256(packages[OLD].read_bytes()).digest()


def test_a_fresh_gateway_has_user_directories_and_an_agent_that_says_what_is_missing(
    fresh: DebianMachine,
) -> None:
    machine = fresh
    owners = machine.do("stat", "-c", "%n %U:%G %a", "/etc/wastelock/keys", "/var/lib/wastelock")
    assert owners.splitlines() == [
        "/etc/wastelock/keys root:root 700",
        "/var/lib/wastelock wastelock:wastelock 750",
    ]
    assert "dialout" in machine.do("id", "-nG", "wastelock").split()
    assert machine.has(UNIT)
    assert release_in_force(machine) == OLD
    machine.do("cp", f"{CONFIG}.example", CONFIG)
    checked = machine.run("edge-agent", "check-config", "--config", CONFIG)
    assert checked.returncode == 78
    assert "holds no certificate yet" in checked.stderr
    assert len(checked.stderr.splitlines()) == 1, "everything else in the example is right"


def test_each_file_of_the_package_is_what_was_packed_also_after_the_agent_ran(gateway: DebianMachine) -> None:
    assert waiting_pages(gateway) == 30
    assert gateway.do("dpkg", "--verify", "wastelock-gateway") == ""
    packed = set(gateway.do("dpkg-query", "--listfiles", "wastelock-gateway").splitlines())
    there = set(gateway.do("find", "/usr/lib/wastelock/releases", "-type", "f").splitlines())
    assert there
    assert there <= packed, "what dpkg doesn't know stays behind"


def test_an_upgrade_keeps_backlog_keys_and_configuration(
    gateway: DebianMachine, packages: dict[str, Path]
) -> None:
    before = gateway.do("sha256sum", *ALL_KEYS)
    upgraded = gateway.dpkg("--install", str(packages[NEW]))
    assert upgraded.returncode == 0, upgraded.stderr
    assert "good: 30 records in 30 pages, 30 signatures hold, 30 pages wait" in upgraded.stdout
    assert gateway.do("sha256sum", *ALL_KEYS) == before
    assert release_in_force(gateway) == NEW
    assert waiting_pages(gateway) == 30
    left = gateway.do("find", "/usr/lib/wastelock", "-maxdepth", "2").split()
    assert sorted(left) == [
        "/usr/lib/wastelock",
        "/usr/lib/wastelock/current",
        "/usr/lib/wastelock/releases",
        f"/usr/lib/wastelock/releases/{NEW}",
    ]


def test_where_the_new_release_cannot_take_the_spool_over_the_old_one_goes_on(
    gateway: DebianMachine, packages: dict[str, Path]
) -> None:
    change_spool(gateway, "UPDATE page SET signature = 'AAAA' WHERE page = 7")
    before = gateway.do("sha256sum", *ALL_KEYS)
    refused = gateway.dpkg("--install", str(packages[NEW]))
    assert refused.returncode != 0
    assert "page 7 wasn't signed with this gateway's key" in refused.stderr
    assert f"the upgrade to {NEW} stops here" in refused.stderr
    assert "The release before it goes on, also after a reboot" in refused.stderr
    assert "half-configured" in state_of(gateway)
    assert release_in_force(gateway) == OLD
    assert waiting_pages(gateway) == 30
    assert gateway.do("sha256sum", *ALL_KEYS) == before

    # Trying again changes nothing as long as nothing is put right; then it goes through.
    assert gateway.dpkg("--configure", "wastelock-gateway").returncode != 0
    assert release_in_force(gateway) == OLD
    change_spool(
        gateway,
        "DELETE FROM page WHERE page <= 7",
        "UPDATE journal SET pruned_through = 7, committed_through = 7, committed_head = ''",
    )
    assert gateway.dpkg("--configure", "wastelock-gateway").returncode == 0
    assert release_in_force(gateway) == NEW
    assert state_of(gateway) == f"install ok installed {NEW}"


def test_after_an_upgrade_that_was_stopped_the_older_package_can_be_installed_again(
    gateway: DebianMachine, packages: dict[str, Path]
) -> None:
    text = gateway.do("cat", CONFIG)
    gateway.put(CONFIG, text.replace("[{ serial", "[{ retired = 1, serial").encode())
    refused = gateway.dpkg("--install", str(packages[NEW]))
    assert refused.returncode != 0
    assert f"{CONFIG}: locks[0].retired" in refused.stderr
    assert release_in_force(gateway) == OLD
    gateway.put(CONFIG, text.encode())
    assert gateway.dpkg("--install", str(packages[OLD])).returncode == 0
    assert release_in_force(gateway) == OLD
    assert state_of(gateway) == f"install ok installed {OLD}"


def test_removal_leaves_state_and_keys_and_installing_again_goes_on_with_them(
    gateway: DebianMachine, packages: dict[str, Path]
) -> None:
    before = gateway.do("sha256sum", *ALL_KEYS)
    removed = gateway.dpkg("--remove", "wastelock-gateway")
    assert removed.returncode == 0, removed.stderr
    assert "pages that the ledger doesn't have (30)" in removed.stderr
    assert not gateway.has("/usr/lib/wastelock")
    assert not gateway.has("/usr/bin/edge-agent")
    assert gateway.do("sha256sum", *ALL_KEYS) == before
    assert gateway.dpkg("--install", str(packages[NEW])).returncode == 0
    assert waiting_pages(gateway) == 30


def test_a_purge_saves_what_only_this_gateway_has(gateway: DebianMachine) -> None:
    spool = gateway.do("sha256sum", SPOOL).split()[0]
    purged = gateway.dpkg("--purge", "wastelock-gateway")
    assert purged.returncode == 0, purged.stderr
    for path in ("/etc/wastelock", "/var/lib/wastelock", "/usr/lib/wastelock", UNIT):
        assert not gateway.has(path), path
    saved = gateway.do("sh", "-c", "ls -d /var/backups/wastelock-*").strip()
    assert saved in purged.stderr
    assert gateway.do("stat", "-c", "%U %a", saved).split() == ["root", "700"]
    assert gateway.do("sha256sum", f"{saved}/state/spool.db").split()[0] == spool
    assert gateway.has(f"{saved}/etc/keys/gateway.pem")


def test_a_purge_leaves_nothing_where_the_ledger_has_everything(
    gateway: DebianMachine, tmp_path: Path
) -> None:
    change_spool(gateway, "UPDATE journal SET committed_through = newest_page")
    purged = gateway.dpkg("--purge", "wastelock-gateway")
    assert purged.returncode == 0, purged.stderr
    for path in ("/etc/wastelock", "/var/lib/wastelock", "/usr/lib/wastelock", UNIT, "/run/wastelock"):
        assert not gateway.has(path), path
    assert gateway.run("sh", "-c", "ls -d /var/backups/wastelock-*").returncode != 0

"""The key files: read whole, every problem told with file and line, and no key ever in a message."""

from pathlib import Path

import pytest

from cloud_sink.errors import ConfigError
from cloud_sink.keys import KeyFiles, make_pseudonym_key
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import load_keys, write_keys

KEY = "00112233445566778899aabbccddeeff"


def files(directory: Path) -> KeyFiles:
    return KeyFiles(directory / "gateways.toml", directory / "lock-keys.csv", directory / "pseudonym.key")


def problems(directory: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        files(directory).load()
    return tuple(problem.replace(f"{directory}/", "") for problem in caught.value.problems)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_keys(tmp_path, [FakeGateway()], [FakeLock(key=bytes(16))])
    return tmp_path


def test_keys_are_found_by_gateway_and_by_lock_and_epoch(directory: Path) -> None:
    keys = load_keys(directory)
    assert list(keys.gateways["estate-1", "gw-0001"]) == [FakeGateway().key.kid]
    assert keys.mac_key("1f00a1", 0) is None
    assert keys.mac_key("1f00a1", 1) is not None


def test_all_files_missing_are_three_problems_each_with_its_remedy(tmp_path: Path) -> None:
    found = problems(tmp_path)
    assert len(found) == 3
    assert "[[gateways]]" in found[0]
    assert "lock,from_epoch,key" in found[1]
    assert "cloud-sink keygen" in found[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[gateways", "gateways.toml: isn't TOML"),
        ("gateways = 3", "write [[gateways]]"),
        ("other = 1", "unknown key 'other'"),
        ("\n[[gateways]]\nid = 1\n", "line 2: needs `id` and `site`"),
        ('[[gateways]]\nid = "a/b"\nsite = "x"\npublic_keys = []', "line 1: gateway 'a/b'"),
        ('[[gateways]]\nid = "a"\nsite = "sink"\npublic_keys = []', "reserved"),
        ('[[gateways]]\nid = "a"\nsite = "x"\nkeys = []', "line 1: unknown key 'keys'"),
        ('[[gateways]]\nid = "a"\nsite = "x"\npublic_keys = ["short"]', "isn't an Ed25519 public key"),
        ('[[gateways]]\nid = "a"\nsite = "x"\n', "edge-agent keygen"),
        (2 * '[[gateways]]\nid="a"\nsite="x"\npublic_keys=[]\n', "line 5: gateway"),
    ],
)  # fmt: skip
def test_mistakes_in_the_list_of_gateways_are_told(directory: Path, text: str, expected: str) -> None:
    (directory / "gateways.toml").write_text(text)
    assert any(expected in problem for problem in problems(directory))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("lock;key\n", "line 1: the first line must be"),
        (f"lock,from_epoch,key\n# a comment\nxyz,1,{KEY}\n", "line 3: lock 'xyz'"),
        (f"lock,from_epoch,key\n1f00a1,-1,{KEY}\n", "line 2: from_epoch '-1'"),
        (f"lock,from_epoch,key\n1f00a1,4294967296,{KEY}\n", "line 2: from_epoch"),
        (f"lock,from_epoch,key\n1f00a1,1,{KEY[:-1]}\n", "line 2: the key of lock 1f00a1 isn't 32"),
        (f"lock,from_epoch,key\n1f00a1,1\n1f00a1,1,{KEY}\n", "line 2: has 2 columns"),
        (f"lock,from_epoch,key\n1f00a1,1,{KEY}\n\n1F00A1,1,{KEY}\n", "line 4: lock 1f00a1 has two keys"),
    ],
)
def test_mistakes_in_the_list_of_locks_are_told_without_the_key(
    directory: Path, text: str, expected: str
) -> None:
    (directory / "lock-keys.csv").write_text(text)
    found = problems(directory)
    assert any(expected in problem for problem in found)
    assert KEY[:-1] not in "\n".join(found)


def test_a_pseudonym_key_that_others_can_read_or_that_is_broken_is_refused(directory: Path) -> None:
    path = directory / "pseudonym.key"
    path.chmod(0o640)
    assert "chmod 600" in problems(directory)[0]
    path.chmod(0o600)
    path.write_text("beef\n")
    assert "64 hexadecimal digits" in problems(directory)[0]
    assert "beef" not in problems(directory)[0]


def test_a_new_pseudonym_key_is_for_its_owner_only_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "pseudonym.key"
    make_pseudonym_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    with pytest.raises(ConfigError, match="there is a key already"):
        make_pseudonym_key(path)
    assert path.read_text() == before
    with pytest.raises(ConfigError, match="can't be written"):
        make_pseudonym_key(tmp_path / "no" / "directory")


def test_a_reload_keeps_the_pseudonyms_that_it_has_made(directory: Path) -> None:
    loader = files(directory)
    assert loader.load().pseudonyms is loader.load().pseudonyms

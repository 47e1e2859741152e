"""The configuration: checked whole, all problems at once, each with file, key and remedy."""

import shutil
from pathlib import Path

import pytest

from cloud_sink.config import Config, load_config
from cloud_sink.errors import ConfigError
from cloud_sink.keys import KeyFiles

ROOT = Path(__file__).parents[3]


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(text)
    return load_config(path)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return caught.value.problems


def test_the_example_is_whole_and_its_keys_are_good(tmp_path: Path) -> None:
    for beside_it in ("gateways.toml", "lock-keys.csv"):
        shutil.copy(ROOT / "config" / beside_it, tmp_path)
    example = (ROOT / "config" / "cloud-sink.toml").read_text()
    config = load(tmp_path, example.replace("/tmp/wastelock-demo", str(tmp_path)))
    assert config.ledger.url == f"sqlite:///{tmp_path}/ledger.sqlite"
    config.keys.pseudonym_key.touch(mode=0o600)
    config.keys.pseudonym_key.write_text("00" * 32)
    keys = KeyFiles(config.keys.gateways, config.keys.locks, config.keys.pseudonym_key).load()
    assert sorted(keys.locks) == [f"1f00a{n}" for n in range(1, 6)]


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, '[ledger]\nurl = "sqlite:///data.sqlite"\n[keys]\nlocks = "/etc/locks.csv"\n')
    assert config.ledger.url == f"sqlite:///{tmp_path}/data.sqlite"
    assert config.keys.locks == Path("/etc/locks.csv")
    assert config.keys.gateways == tmp_path / "gateways.toml"


def test_the_session_is_named_after_client_id_or_user(tmp_path: Path) -> None:
    ledger = '[ledger]\nurl = "sqlite:///x"\n[mqtt]\n'
    assert load(tmp_path, ledger).mqtt.session_name == "cloud-sink"
    assert load(tmp_path, ledger + 'username = "sink-1"').mqtt.session_name == "sink-1"
    assert load(tmp_path, ledger + 'username = "sink-1"\nclient_id = "a"').mqtt.session_name == "a"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        '[ledger]\nurl = "mysql://x/y"\n[mqtt]\nport = 0\nhots = "x"\n[limits]\nbatch_pages = "many"\n[other]\n',
    )
    text = "\n".join(found)
    assert len(found) == 5
    assert all(str(tmp_path / "cloud-sink.toml") in problem for problem in found)
    for expected in ("ledger.url: 'mysql' isn't supported", "mqtt.port", "mqtt.hots: remove it", "limits.batch_pages",
                     "unknown key other"):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ledger is missing: add it"),
        ("[ledger]\n", "ledger.url is missing"),
        ("[ledger", "isn't TOML"),
        ('[ledger]\nurl = "what"', "isn't a database URL"),
        ('[ledger]\nurl = "sqlite://"', "names no database"),
        (
            '[ledger]\nurl = "sqlite:///x"\n[projections]\ntime_zone = "Berlin"',
            "expected a name such as Europe/Berlin",
        ),
        ('[ledger]\nurl = "sqlite:///x"\n[projections]\nurl = "mysql://x/y"', "isn't supported"),
        (
            '[ledger]\nurl = "sqlite:///x"\n[projections]\nurl = "sqlite:///no/x"',
            "projections.url: there is no",
        ),
        ('[ledger]\nurl = "sqlite:///no/such/directory/x.sqlite"', "directory"),
        ('[ledger]\nurl = "sqlite:///x"\n[mqtt]\nca_file = "nowhere.crt"', "mqtt.ca_file"),
        (
            '[ledger]\nurl = "sqlite:///x"\n[mqtt]\npassword_file = "cloud-sink.toml"',
            "mqtt.username is missing",
        ),
        ('[ledger]\nurl = "sqlite:///x"\n[mqtt]\ncert_file = "cloud-sink.toml"', "set both or none"),
        ('[ledger]\nurl = "sqlite:///x"\n[mqtt]\nshare_group = "g"', "client_id or username of its own"),
        ('[ledger]\nurl = "sqlite:///x"\n[mqtt]\nshare_group = "a/b"', "mqtt.share_group"),
    ],
)
def test_each_mistake_has_its_message(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="isn't there: name the configuration"):
        load_config(tmp_path / "nothing.toml")


@pytest.mark.parametrize(("cores", "expected"), [({0}, 0), ({3}, 0), ({0, 1}, 1), (set(range(8)), 1)])
def test_pages_are_checked_in_a_process_of_its_own_where_there_is_a_core_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: set[int], expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
    ledger = '[ledger]\nurl = "sqlite:///x"\n'
    assert load(tmp_path, ledger).limits.checking_processes == expected
    assert load(tmp_path, ledger + "[limits]\nchecking_processes = 3").limits.checking_processes == 3

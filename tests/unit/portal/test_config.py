"""The configuration: all problems at once, each with its remedy; cookies and passwords never go in the clear."""

from pathlib import Path

import pytest

from portal.config import Config, WebSection, is_loopback, load_config
from portal.errors import ConfigError


def write(directory: Path, text: str) -> Path:
    (directory / "cloud-sink.toml").touch()
    path = directory / "portal.toml"
    path.write_text(text)
    return path


def test_nothing_need_be_set_beside_the_sinks_configuration(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, ""))
    assert config.sink.config == tmp_path / "cloud-sink.toml"
    assert config.accounts.url == f"sqlite:///{tmp_path / 'portal-accounts.sqlite'}"
    assert config.billing.config is None
    assert config.web.port == 8080
    assert not config.web.secure


def test_the_example_shows_every_key_with_its_default() -> None:
    text = Path("config/portal.toml").read_text()
    for section in ("web", "sink", "billing", "accounts", "limits", "shown"):
        assert f"[{section}]" in text
    for section, value in Config().model_dump().items():
        for key in value:
            assert f"\n{key} = " in text, f"{section}.{key}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[web]\nprot = 1", "unknown key web.prot"),
        ("[web]\nport = 70000", "web.port"),
        ('[web]\npublic_url = "http://portal.example.org"', "put a proxy with TLS in front"),
        ('[web]\npublic_url = "https://portal.example.org/portal"', "without a path"),
        ('[web]\npublic_url = "https://portal.example.org"', "web.trusted_proxies is missing"),
        ('[web]\npublic_url = "ftp://x"', "without a path"),
        ('[accounts]\nurl = "mysql://x/y"', "isn't supported"),
        ('[accounts]\nurl = "sqlite:///:memory:"', "somewhere that lasts"),
        ('[accounts]\nurl = "sqlite:///missing/a.sqlite"', "there is no directory"),
        ('[accounts]\nurl = "nonsense"', "isn't a database URL"),
        ('[shown]\ntime_zone = "Europe/Entenhausen"', "is no time zone"),
        ('[shown]\nlanguage = "fr"', "shown.language"),
        ('[sink]\nconfig = "other.toml"', "other.toml isn't there"),
        ('[billing]\nconfig = "billing.toml"', "billing.toml isn't there"),
        ("[web", "isn't TOML"),
    ],
)
def test_what_cannot_work_is_said_with_place_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        load_config(write(tmp_path, text))
    assert all(str(tmp_path / "portal.toml") in each for each in caught.value.problems)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, '[web]\nport = 0\nprot = 1\n[shown]\ntime_zone = "x"'))
    assert len(caught.value.problems) == 2


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="isn't there"):
        load_config(tmp_path / "portal.toml")


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.9.1", True), ("0.0.0.0", False),
     ("10.0.0.1", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_only_this_machines_own_addresses_are_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_it_answers_to_the_names_that_it_is_known_by() -> None:
    local = WebSection(public_url="http://127.0.0.1:8080")
    assert {"127.0.0.1", "localhost"} <= set(local.allowed_hosts)
    public = WebSection(host="0.0.0.0", public_url="https://portal.example.org", hosts=("intern.example",))
    assert public.allowed_hosts == ["intern.example", "portal.example.org"]

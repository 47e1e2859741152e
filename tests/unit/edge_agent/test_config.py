"""The configuration: whole, strict, all problems at once, each with file, key, what was expected and the remedy."""

import os
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.config import CounterLock, IdentitySettings, JournalLock, RtuBus, TcpBus
from edge_agent.config_rules import load_config, load_signing_key
from edge_agent.errors import ConfigError
from edge_agent.keygen import make_signing_key
from tests.unit.edge_agent.configurations import GOOD, write

EXAMPLE = Path(__file__).parents[3] / "config" / "edge-agent.toml"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_signing_key(tmp_path / "gateway.pem")
    return tmp_path


def problems(directory: Path, text: str) -> list[str]:
    """Return the lines of what is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(directory, text))
    return str(caught.value).splitlines()


def test_a_good_configuration_has_its_defaults_and_its_paths_are_relative_to_the_file(
    directory: Path,
) -> None:
    config = load_config(write(directory, GOOD))
    assert config.spool.path == directory / "spool.db"
    assert config.gateway.signing_key == directory / "gateway.pem"
    assert (config.mqtt.port, config.spool.max_mib, config.clock.source) == (8883, 512, "auto")
    yard, street = config.buses
    assert isinstance(yard, RtuBus) and (yard.baudrate, yard.parity, yard.stopbits) == (19200, "E", 1)
    assert isinstance(street, TcpBus) and street.port == 502
    lock, counter = config.locks
    assert isinstance(lock, JournalLock) and (lock.lock, lock.serial_number) == ("1f00a1", 0x1F00A1)
    assert isinstance(counter, CounterLock) and counter.chambers[0].word_order == "high_first"


def test_the_example_runs_as_it_is_once_its_directory_and_key_are_there(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("/tmp/wastelock-demo", str(tmp_path))
    make_signing_key(tmp_path / "gateway.pem")
    config = load_config(write(tmp_path, text))
    assert [(lock.lock, lock.bus, lock.unit) for lock in config.locks] == [
        ("1f00a1", "yard", 1),
        ("1f00a2", "yard", 2),
        ("1f00a3", "yard", 3),
        ("1f00a4", "street", 1),
        ("1f00a5", "street", 2),
    ]


def test_the_example_names_every_key_and_what_it_comments_out_are_the_defaults(tmp_path: Path) -> None:
    import re

    text = EXAMPLE.read_text().replace("/tmp/wastelock-demo", str(tmp_path))
    before, title, rest = text.partition("# [identity]\n")
    section, _, after = rest.partition("\n\n")
    text = before + after  # a section that there may be: its keys have defaults only where it is
    identity = tomllib.loads(re.sub(r"^# ", "", section, flags=re.MULTILINE))
    shown = IdentitySettings.model_validate(identity)
    assert title and shown == IdentitySettings(directory=shown.directory)
    assert set(IdentitySettings.model_fields) == set(identity)
    make_signing_key(tmp_path / "gateway.pem")
    plain = load_config(write(tmp_path, text))
    # Uncomment everything that is a single setting, but for what has no default.
    lines = [
        line
        if re.match(r"# (username|password_file|ca_file|cert_file|key_file|listen|socket) ", line)
        else re.sub(r"^# (?=[a-z_]+ = )", "", line)
        for line in text.partition("# A legacy counter")[0].splitlines()
    ]
    explicit = load_config(write(tmp_path, "\n".join(lines)))
    assert explicit == plain
    named = set(re.findall(r"^(?:# )?([a-z_]+) = ", text, re.MULTILINE)) | set(
        re.findall(r"([a-z_]+) =", text)
    )
    for each in (
        plain.gateway,
        plain.spool,
        plain.mqtt,
        plain.clock,
        plain.reporting,
        plain.metrics,
        plain.local,
        plain.orders,
        *plain.buses,
        *plain.locks,
    ):
        assert set(type(each).model_fields) <= named


MISTAKES = {
    "an order key that isn't one": (
        GOOD + "[orders]\nkeys = ['abc']\n",
        "orders.keys[0]",
        "expected a list of at most 16 Ed25519 public keys",
    ),
    "unknown section": (GOOD + "[gatway]\nid = 'x'\n", "gatway", "expected one of gateway, spool"),
    "unknown key": (
        GOOD.replace('host = "broker', 'hots = 1\nhost = "broker'),
        "mqtt.hots",
        "isn't known here",
    ),
    "missing key": (GOOD.replace('site = "site-1"\n', ""), "gateway.site", "is missing"),
    "bad name": (GOOD.replace('"gw-0001"', '"gw/0001"'), "gateway.id", "A-Z a-z 0-9"),
    "reserved site": (GOOD.replace('"site-1"', '"sink"'), "gateway.site", "isn't reserved"),
    "number as text": (GOOD.replace("unit = 1\n", 'unit = "1"\n'), "locks[0].unit", "unit id, 1..247"),
    "number out of range": (GOOD.replace("unit = 9", "unit = 248"), "locks[1].unit", "is 248"),
    "truth value as number": (GOOD.replace("unit = 9", "unit = true"), "locks[1].unit", "is True"),
    "serial with 0x": (GOOD.replace('"1f00a1"', '"0x1f00a1"'), "locks[0].serial", "hexadecimal"),
    "serial as number": (GOOD.replace('"1f00a1"', "2031777"), "locks[0].serial", "in quotes"),
    "two locks with one serial": (
        GOOD.replace('"1f00b1"', '"1f00a1"'),
        "locks[1].serial",
        "as is locks[0].serial",
    ),
    "one serial written twice": (
        GOOD.replace('"1f00b1"', '"001f00a1"'),
        "locks[1].serial",
        "as is locks[0].serial",
    ),
    "two locks on one unit": (
        GOOD.replace('bus = "street"\nunit = 9', 'bus = "yard"\nunit = 1'),
        "locks[1].unit",
        "unit 1 on bus yard, as is locks[0].unit",
    ),
    "unknown bus": (
        GOOD.replace('bus = "yard"', 'bus = "garden"'),
        "locks[0].bus",
        "expected one of street, yard",
    ),
    "two buses of one name": (
        GOOD.replace('name = "street"', 'name = "yard"'),
        "buses[1].name",
        "as is buses[0].name",
    ),
    "unknown kind of bus": (GOOD.replace('kind = "tcp"', 'kind = "udp"'), "buses[1].kind", '"rtu" or "tcp"'),
    "unknown driver": (
        GOOD.replace('"counter-1"', '"counter-2"'),
        "locks[1].driver",
        '"wlc-1" or "counter-1"',
    ),
    "bad width": (GOOD.replace("width = 16", "width = 24"), "locks[1].chambers[0].width", "16 or 32"),
    "unknown key in a chamber": (
        GOOD.replace("width = 16", "width = 16, with = 1"),
        "locks[1].chambers[0].with",
        "one of number, address, width",
    ),
    "no locks": (GOOD.partition("[[locks]]")[0], "locks", "1..256 tables [[locks]]"),
    "list instead of table": (GOOD.replace("[mqtt]", "[[mqtt]]"), "mqtt", "a table [mqtt]"),
    "no signing key": (
        GOOD.replace('"gateway.pem"', '"other.pem"'),
        "gateway.signing_key",
        "edge-agent keygen",
    ),
    "no directory for the spool": (GOOD.replace('"spool.db"', '"none/spool.db"'), "spool.path", "mkdir -p"),
    "no directory for the local door": (
        GOOD.replace("[[buses]]", '[local]\nsocket = "none/agent.sock"\n[[buses]]', 1),
        "local.socket",
        "mkdir -p",
    ),
    "a directory as spool": (GOOD.replace('"spool.db"', '"."'), "spool.path", "is a directory"),
    "unreadable authority": (
        GOOD.replace("[[buses]]", 'ca_file = "ca.crt"\n[[buses]]', 1),
        "mqtt.ca_file",
        "can't be read",
    ),
    "a file that is no certificate": (
        GOOD.replace("[[buses]]", 'ca_file = "agent.toml"\n[[buses]]', 1),
        "mqtt.ca_file",
        "certificates in PEM",
    ),
    "keys that aren't": (
        GOOD.replace(
            "[[buses]]",
            'ca_file = "agent.toml"\ncert_file = "agent.toml"\nkey_file = "agent.toml"\n[[buses]]',
            1,
        ),
        "mqtt.cert_file",
        "unencrypted private key",
    ),
    "half a key pair": (
        GOOD.replace("[[buses]]", 'ca_file = "agent.toml"\ncert_file = "agent.toml"\n[[buses]]', 1),
        "mqtt.key_file",
        "since cert_file is set",
    ),
    "password without name": (
        GOOD.replace("[[buses]]", 'password_file = "agent.toml"\n[[buses]]', 1),
        "mqtt.username",
        "since password_file is set",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_told_with_file_key_expectation_and_remedy(directory: Path, mistake: str) -> None:
    text, key, telling = MISTAKES[mistake]
    lines = problems(directory, text)
    line = next((line for line in lines if f"agent.toml: {key}: " in line), None)
    assert line is not None, lines
    assert telling in line
    assert "expected " in line and "remedy: " in line


def test_all_mistakes_are_told_at_once(directory: Path) -> None:
    text = (
        GOOD.replace('"gw-0001"', '""')
        .replace('device = "/dev/ttyUSB0"', 'device = "/dev/ttyUSB0"\nparity = "X"\nbaudrate = 1')
        .replace("unit = 9", "unit = 0")
        .replace('"gateway.pem"', '"missing.pem"')
        + "surprise = 1\n"
    )
    keys = {line.split(": ")[1] for line in problems(directory, text)}
    assert keys >= {
        "gateway.id",
        "buses[0].parity",
        "buses[0].baudrate",
        "locks[1].unit",
        "locks[1].surprise",
    }


def test_two_buses_on_one_device_by_two_names_are_found(directory: Path) -> None:
    (directory / "tty").touch()
    (directory / "by-id").symlink_to("tty")
    text = GOOD.replace('"/dev/ttyUSB0"', '"tty"').replace(
        'kind = "tcp"\nhost = "192.0.2.7"', 'kind = "rtu"\ndevice = "by-id"'
    )
    (line,) = problems(directory, text)
    assert "buses[1].device" in line and "put all locks of one line on one bus" in line


def test_a_device_link_that_leads_nowhere_or_in_a_circle_is_the_buses_business(directory: Path) -> None:
    (directory / "a").symlink_to("b")
    (directory / "b").symlink_to("a")
    assert load_config(write(directory, GOOD.replace('"/dev/ttyUSB0"', '"a"'))).buses[0].name == "yard"
    assert (
        load_config(write(directory, GOOD.replace('"/dev/ttyUSB0"', '"/proc/1/fd/999/x"'))).buses[0].name
        == "yard"
    )


def test_a_file_that_is_not_there_or_is_not_toml_is_told_by_name(directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml: can't be read .* remedy"):
        load_config(directory / "nowhere.toml")
    assert "isn't TOML" in problems(directory, "[gateway\n")[0]
    (directory / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="isn't TOML"):
        load_config(directory / "agent.toml")


def test_a_signing_key_that_others_can_read_is_refused(directory: Path) -> None:
    (directory / "gateway.pem").chmod(0o644)
    (line,) = problems(directory, GOOD)
    assert "open to other users" in line and "chmod 600" in line


def test_a_signing_key_of_another_kind_is_refused(directory: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    path = directory / "gateway.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "holds a key of another kind" in problems(directory, GOOD)[0]
    path.write_text("rubbish")
    assert "doesn't hold an unencrypted private key" in problems(directory, GOOD)[0]


def test_a_new_key_is_for_its_owner_only_and_is_never_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "gateway.pem"
    key = make_signing_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signing_key(path).kid == key.kid
    with pytest.raises(ConfigError, match=r"signing_key: .* is there already"):
        make_signing_key(path)
    assert load_signing_key(path).kid == key.kid
    with pytest.raises(ConfigError, match="can't be written"):
        make_signing_key(tmp_path / "none" / "gateway.pem")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_whatever_stands_in_the_file_the_answer_is_a_configuration_or_a_list_of_problems(
    directory: Path, data: st.DataObject
) -> None:
    table = tomllib.loads(GOOD)
    values = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.lists(st.integers(), max_size=2),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        owner = data.draw(
            st.sampled_from([table, *(v for v in table.values() if isinstance(v, dict)), *table["locks"]])
        )
        key = data.draw(st.sampled_from([*owner, "other"]))
        value = data.draw(values)
        if value is None:
            owner.pop(key, None)
        else:
            owner[key] = value
        if not isinstance(table.get("locks"), list) or not all(
            isinstance(lock, dict) for lock in table["locks"]
        ):
            break
    file = directory / "agent.toml"
    file.write_text(_to_toml(table))
    try:
        load_config(file)
    except ConfigError as error:
        assert all("remedy: " in line for line in str(error).splitlines())


def _to_toml(table: dict[str, object]) -> str:
    import json
    import math

    def value(v: object) -> str:
        if isinstance(v, float) and not math.isfinite(v):
            return "nan" if math.isnan(v) else ("inf" if v > 0 else "-inf")
        if isinstance(v, list):
            return "[" + ", ".join(value(item) for item in v) + "]"
        if isinstance(v, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(w)}" for k, w in v.items()) + "}"
        return json.dumps(v).replace("\x7f", "\\u007f")

    return "\n".join(f"{json.dumps(k)} = {value(v)}" for k, v in table.items())


def test_a_password_stands_in_no_message(directory: Path) -> None:
    secret = directory / "password"
    secret.write_text("correct horse\n")
    secret.chmod(0)
    text = GOOD.replace("[[buses]]", 'username = "gw-0001"\npassword_file = "password"\n[[buses]]', 1)
    if os.geteuid() == 0:  # root can read everything
        assert load_config(write(directory, text)).mqtt.password_file == secret
    else:
        assert "correct horse" not in "\n".join(problems(directory, text))

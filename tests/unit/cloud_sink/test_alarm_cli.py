"""`cloud-sink alarm …`: an alarm is listed, and who has seen it is kept."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.operator_events import Acknowledgement
from tests.support.ledger import Ledger
from tests.unit.cloud_sink.test_observations import keep
from tests.unit.cloud_sink.test_observing import gateway_state, heard, lock_state
from tests.unit.cloud_sink.test_operating import events


def test_an_alarm_is_listed_and_acknowledged(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger.url}"\n[feed]\npublish = false\n')

    def do(*arguments: str, expect: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--config", str(path)])
        assert result.exit_code == expect, result.output
        return result.stdout if expect == 0 else result.stderr

    assert "cloud-sink project" in do("alarm", "list", expect=78)
    keep(ledger.database, heard(gateway_state(0), 0), heard(lock_state(0, epoch=1, faults=("tamper",)), 0))
    do("project", "--once", "--only", "twins")
    found = json.loads(do("alarm", "list", "--json", "--lock", "1f00a1"))
    tampered = next(alarm for alarm in found if alarm["key"] == "tamper")
    assert tampered["acknowledged_by"] is None
    assert tampered["alarm_id"] in do("alarm", "list")
    do("alarm", "ack", tampered["alarm_id"], "--actor", "anna", "--reason", "on the way")
    [event] = events(ledger)
    assert (event.subject, event.actor, event.reason) == ("1f00a1", "anna", "on the way")
    assert event.body == Acknowledgement(alarm_id=tampered["alarm_id"])
    do("project", "--once", "--only", "twins")
    assert "seen by anna" in do("alarm", "list", "--lock", "1f00a1")
    assert "there is no alarm nonsense" in do("alarm", "ack", "nonsense", expect=1)
    assert do("alarm", "list", "--site", "elsewhere") == "no alarm\n"

"""What the layout writes is what the programs read."""

from datetime import UTC, datetime
from pathlib import Path

from billing_aggregator.config import load_config
from demo.case import make_case
from demo.layout import Settings
from demo.ports import free_port
from firmware_sim.config import load_estate


def test_the_simulator_reads_who_lives_where_and_until_when(tmp_path: Path) -> None:
    case = make_case(tmp_path, datetime(2026, 11, 25, 12, tzinfo=UTC), 12, 1, free_port)
    case.layout.write(Settings())
    estate = load_estate(case.layout.simulator_config)
    written = {lock.name: lock for lock in case.layout.estate.locks}
    for lock in estate.locks:
        assert lock.chambers_ml == written[lock.serial].chambers_ml
        assert lock.households is not None
        read = [(h.persons, h.transponders, h.moved_in, h.moved_out) for h in lock.households]
        homes = written[lock.serial].households or ()
        assert read == [(h.persons, h.transponders, h.moved_in, h.moved_out) for h in homes]
    assert {home.moved_out for lock in estate.locks for home in lock.households or ()} - {None}


def test_billing_reads_where_its_books_are_and_who_approves(tmp_path: Path) -> None:
    case = make_case(tmp_path, datetime(2026, 11, 25, 12, tzinfo=UTC), 12, 1, free_port)
    case.layout.write_billing_config(["b.weber"])
    config = load_config(case.layout.billing_config)
    assert config.approval.approvers == ("b.weber",)
    assert str(tmp_path / "billing.db") in config.database.url
    assert str(tmp_path / "ledger.db") in config.ledger.url

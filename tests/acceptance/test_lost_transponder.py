"""A transponder is marked lost: every program does its part, and nobody else at the lock notices anything."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from billing_aggregator.cli import app as billing_aggregator
from cloud_sink.cli import app as cloud_sink
from cloud_sink.config import load_config
from cloud_sink.orders.ordering import Ordering
from demo.chain import Chain
from demo.control import Control
from demo.estate import Bus, Estate, Household, Lock
from demo.layout import Layout
from demo.process import Child, program, run_program
from portal.billing_door import utc_now
from portal.cli import app as portal_program
from tests.acceptance.conftest import StartChain
from tests.acceptance.deeds import send_everybody_home
from tests.acceptance.oracle import assert_ledger_is_truth, assert_ledger_sees_no_fault
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from wastelock.record import Kind

LOCK = Lock(
    0x2B0001,
    "tower",
    1,
    households=tuple(
        Household(2, (f"e0040150{n:08x}",), 0.5, 4.0, date(2020, 1, 1), None) for n in range(1, 7)
    ),
)
ESTATE = Estate("birkenweg", "gw-0007", (Bus("tower", "tcp"),), (LOCK,))
UIDS = [household.transponders[0] for household in ESTATE.locks[0].households or ()]
LOST, *OTHERS = UIDS
REFUSED_WITHIN_S = 60.0
BLOCKED = 2  # result of a denied access: the lock knows the transponder, and refuses it as such


def test_a_lost_transponder_is_refused_within_a_minute_and_the_others_pour_on(
    start_chain: StartChain,
) -> None:
    chain = start_chain(ESTATE, backlog_days=0.2)
    assert_ledger_is_truth(chain)
    pseudonyms = add_transponders(chain)
    import_master_data(chain.layout, pseudonyms)
    with portal_of(chain.layout) as portal:
        portal.check()
        take_over(chain.layout)
        orders = Ordering(load_config(chain.layout.sink_config).ledger.url, utc_now)
        wait_until(lambda: list_in_force(orders), 60, chain.story)
        orders.close()
        assert try_to_pour(chain.control, LOST) == "authorised"
        with others_pouring(chain) as answers:
            done = run_program(
                [*program("billing-aggregator"), "transponder", "block", pseudonyms[LOST], "--actor", "c.lerk",
                 "--reason", "lost, by phone", "--config", str(chain.layout.billing_config)]
            )  # fmt: skip
            assert pseudonyms[LOST] in done.decode()
            wait_until(lambda: try_to_pour(chain.control, LOST) == "blocked", REFUSED_WITHIN_S, chain.story)
        assert set(answers) == {"authorised"} and len(answers) >= 2 * len(OTHERS), "somebody else was refused"
        portal.check()
    send_everybody_home(chain)
    assert_ledger_is_truth(chain, at_least=20)
    assert_ledger_sees_no_fault(chain)
    of_lost = [line for line in chain.ledger() if line["credential"] == pseudonyms[LOST]]
    assert [line["result"] for line in of_lost if line["kind"] == Kind.ACCESS_DENIED] == [BLOCKED]
    no_number_is_told(chain)


def try_to_pour(control: Control, uid: str) -> str:
    """Hold a transponder to the lock, and return its answer."""
    return str(control.do("pour", lock=LOCK.name, chamber=1, uid=uid, instant=True)["answer"])


@contextmanager
def others_pouring(chain: Chain) -> Iterator[list[str]]:
    """All others come, one after the other, all the time; yields what the lock answers them."""
    stop, answers = threading.Event(), list[str]()

    def come() -> None:
        while not stop.is_set():
            for uid in OTHERS:
                answers.append(try_to_pour(chain.control, uid))
            stop.wait(0.05)

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(30)


def add_transponders(chain: Chain) -> dict[str, str]:
    """Keep the numbers where access lists are made, and return their pseudonyms."""
    numbers, where = "\n".join(UIDS), ["--config", str(chain.layout.sink_config)]
    command(cloud_sink, "transponder", "add", "-", *where, given=numbers)
    pseudonyms = command(cloud_sink, "pseudonym", *where, given=numbers).split()
    return dict(zip(UIDS, pseudonyms, strict=True))


def command(program: Typer, *arguments: str, given: str = "") -> str:
    """Give a command in this process, which has loaded the programs already, and return what it prints."""
    done = CliRunner().invoke(program, arguments, input=given)
    assert done.exit_code == 0, done.output
    return done.stdout


def import_master_data(layout: Layout, pseudonyms: dict[str, str]) -> None:
    """Each household lives in a dwelling of its own, and holds its transponder."""
    directory = layout.directory / "masterdata"
    directory.mkdir()
    homes = [(f"WE{n}", f"T{n}", uid) for n, uid in enumerate(UIDS, 1)]
    p: dict[str, object] = {"property": "birkenhof"}
    since = {"from": "2020-01-01", "last_day": ""}
    tables: dict[str, list[dict[str, object]]] = {
        "property": [{**p, "name": "Birkenhof", "landlord": "owner"}],
        "party": [{**p, "party": party, "name": party} for party in ("owner", *(home[1] for home in homes))],
        "dwelling": [{**p, "dwelling": dwelling} for dwelling, _, _ in homes],
        "occupancy": [
            {**p, "occupancy": f"{dwelling}-{party}", "dwelling": dwelling, "party": party, **since}
            for dwelling, party, _ in homes
        ],
        "credential": [
            {**p, "credential": pseudonyms[uid], "occupancy": f"{dwelling}-{party}", **since}
            for dwelling, party, uid in homes
        ],
        "chamber": [
            {**p, "lock": LOCK.name, "chamber": n, "volume_ml": ml, "fraction": "residual", **since}
            for n, ml in enumerate(LOCK.chambers_ml, 1)
        ],
    }
    for name, rows in tables.items():
        write_table(directory / f"{name}.csv", rows)
    layout.write_billing_config([])
    command(billing_aggregator, "import", str(directory), "--config", str(layout.billing_config))


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def portal_of(layout: Layout) -> Iterator[Child]:
    """The portal as a process of its own."""
    layout.write_portal_config(free_port())
    child = Child("portal", [*program("portal"), "serve", "--config", str(layout.portal_config)], layout.logs)
    child.start()
    try:
        child.wait_until(lambda: "portal: http" in child.log.read_text(), "serving", 30)
        yield child
    finally:
        child.stop()


def take_over(layout: Layout) -> None:
    """The lock has a list from its commissioning: somebody says that the one of the master data takes its place."""
    reason = "the estate's first list"
    command(
        portal_program,
        "access",
        "release",
        LOCK.name,
        "--reason",
        reason,
        "--config",
        str(layout.portal_config),
    )


def list_in_force(orders: Ordering) -> bool:
    """Return whether the lock says that it has the list that is wanted."""
    found = orders.access_list(LOCK.name)
    return found is not None and found.reported_version == found.view.version


def no_number_is_told(chain: Chain) -> None:
    """No program has written a transponder's number into its log."""
    said = "\n".join(path.read_text(errors="replace") for path in chain.layout.logs.iterdir()).lower()
    assert [uid for uid in UIDS if uid in said or uid.lstrip("0") in said] == []

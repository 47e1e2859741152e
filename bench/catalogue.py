"""All benches by name, in the order in which they are run: quick ones first."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import (
    automatic_billing,
    bus_use,
    country_billing,
    fleet_page,
    journal_drain,
    ledger_depth,
    live_pour,
    outgoing,
    property_billing,
    rebuild,
    record_codec,
    resting_agent,
    sink_intake,
    spool_depth,
    statement_printing,
)
from bench.table import Row
from bench.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Bench:
    """`run` measures and returns its rows; `minutes` is about what it takes in full on two cores.

    `only_by_name`: it takes so long, or so much disk, that it is run only where it is asked for.
    """

    run: Callable[[Workplace], list[Row]]
    about: str
    minutes: float
    only_by_name: bool = False


BENCHES: dict[str, Bench] = {
    "record_codec": Bench(record_codec.run, "decode, CRC-32 and MAC of records", 0.5),
    "spool_depth": Bench(spool_depth.run, "a million records in the spool", 1),
    "journal_drain": Bench(journal_drain.run, "full journals over Modbus TCP onto the gateway's disk", 2),
    "bus_use": Bench(bus_use.run, "a serial line's wire while a full journal is drained", 2),
    "sink_intake": Bench(sink_intake.run, "pages through the broker into the ledger", 3),
    "resting_agent": Bench(resting_agent.run, "CPU and memory of an agent with 32 locks", 4),
    "ledger_depth": Bench(ledger_depth.run, "ten million entries in the ledger", 3),
    "outgoing": Bench(outgoing.run, "feed and time series of a million entries", 2),
    "property_billing": Bench(property_billing.run, "a property's year, from entries to bills", 0.5),
    "fleet_page": Bench(fleet_page.run, "pages of a fleet of 2,000 locks", 1),
    "live_pour": Bench(live_pour.run, "from a pour to the page, 32 locks on one bus", 6),
    "statement_printing": Bench(statement_printing.run, "statements as PDF/A, with chart and annex", 1),
    "automatic_billing": Bench(automatic_billing.run, "70,000 households' year, 11 million pours", 8),
    "rebuild": Bench(rebuild.run, "twins and usage rebuilt from ten million entries", 15, only_by_name=True),
    "country_billing": Bench(
        country_billing.run,
        "700,000 households' year, 110 million pours; 15 GB",
        60,
        only_by_name=True,
    ),
}

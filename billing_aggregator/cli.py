"""The command line of billing: from master data and ledger to statements and invoices."""

import typer

from billing_aggregator.commands import looking, masterdata, papers, run_steps, transponders
from billing_aggregator.invoice import commands as invoices

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Divides a property's waste cost among its households by what they threw, and proves it.\n\n"
    "Example: billing-aggregator run list --config config/billing-aggregator.toml",
)
masterdata.register(app)
app.add_typer(run_steps.app, name="run")
app.add_typer(transponders.app, name="transponder")
papers.register(app, run_steps.app)
looking.register(app)
app.add_typer(invoices.app, name="invoice")


def main() -> None:
    """Entry point of the program `billing-aggregator`."""
    app()

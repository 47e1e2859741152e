"""`portal access …`: locks whose access lists wait for somebody to let them through."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from portal.commands.terminal import ConfigOption, JsonOption, exit_codes, explain, name_actor, print_all
from portal.config import load_config
from portal.errors import EXIT_REFUSED, ConfigError, NotThere, Refused
from portal.log import configure_log

if TYPE_CHECKING:
    from portal.access_keeper import AccessKeeper

app = typer.Typer(
    no_args_is_help=True, help="Access lists that wait: they would drop many, or be a lock's first."
)


@app.command(name="list")
def list_waiting(config: ConfigOption, json: JsonOption = False) -> None:
    """List the locks whose lists wait for somebody: to be let through, or to add numbers. All others get theirs by this
    look.

    Example: portal access list --config config/portal.toml
    """
    with _keeper(config) as keeper:
        waiting = keeper.unsettled()
        cells = (
            (
                each.lock,
                ", ".join(each.properties),
                each.state.value,
                each.admitted,
                len(each.held),
                len(each.unknown),
            )
            for each in waiting
        )
        columns = ("lock", "property", "why", "would be admitted", "would be dropped", "numbers unknown")
        print_all(waiting, json, columns, cells, "no list waits")


@app.command()
def release(
    config: ConfigOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the list.")],
    locks: Annotated[list[str] | None, typer.Argument(help="These locks.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="All locks whose lists wait.")] = False,
) -> None:
    """Let locks have the lists that the master data want, whatever was held back. Those go on whose lists can't be.

    With --all a lock stays as it is that nobody would be admitted to: name it if that is meant.

    Example: portal access release 1f00a1 1f00a2 --reason "the technician's lists are replaced" --config FILE
    """
    if bool(locks) == everywhere:
        raise typer.BadParameter("name locks, or give --all")
    from portal.sink_door import Author

    with _keeper(config) as keeper:
        left = []
        for lock in locks or [each.lock for each in keeper.waiting()]:
            standing = keeper.standing(lock)
            admitted = 0 if standing is None else standing.admitted
            if everywhere and not admitted and standing is not None and not standing.unknown:
                left.append(f"{lock}: nobody would be admitted: name the lock if that is meant")
                continue
            try:
                given = keeper.release(lock, admitted, Author(name_actor(), reason))
            except (Refused, NotThere) as error:
                left.append(f"{lock}: {explain(error)}")
                continue
            more = f"; the numbers of {len(given.unknown)} more aren't known" if given.unknown else ""
            typer.echo(f"{lock}: {admitted} transponders are admitted{more}")
    for line in left:
        typer.echo(f"portal: {line}", err=True)
    if left:
        raise typer.Exit(EXIT_REFUSED)


@contextmanager
def _keeper(config: Path) -> Iterator["AccessKeeper"]:
    """The same that the portal runs, after a look of its own."""
    from portal.app import make_services

    configure_log()  # what this look gives is told on stderr: stdout is for programs
    with exit_codes():
        services = make_services(load_config(config))
        try:
            if services.access is None:
                raise ConfigError(
                    [f"{config}: locks don't get their access lists from here: set [access] follow_masterdata, "
                     "[billing] config, and [orders] signing_key in the sink's configuration"]
                )  # fmt: skip
            services.accounts.prepare()
            services.access.look()
            yield services.access
        finally:
            services.close()

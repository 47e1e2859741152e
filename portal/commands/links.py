"""`portal link …`: households' personal links."""

import sys
from datetime import date
from typing import Annotated

import msgspec
import typer

from portal.commands.terminal import ConfigOption, JsonOption, name_actor, open_accounts, print_all
from portal.config import load_config

app = typer.Typer(
    no_args_is_help=True, help="Households' personal links: each shows one household its own data."
)
PropertyOption = Annotated[str, typer.Option("--property", help="The property's id in the master data.")]


@app.command()
def add(
    config: ConfigOption,
    property_id: PropertyOption,
    dwelling: Annotated[str, typer.Option("--dwelling", help="The dwelling's id.")],
    party: Annotated[str, typer.Option("--party", help="The party's id.")],
    since: Annotated[str, typer.Option("--since", help="First day that it shows: 2026-01-01.")],
    until: Annotated[str | None, typer.Option("--until", help="Last day that it shows.")] = None,
    days: Annotated[int, typer.Option("--days", help="How long the link opens.")] = 400,
    json: JsonOption = False,
) -> None:
    """Make a link and print it: it can't be shown a second time.

    Example: portal link add --config config/portal.toml --property p1 --dwelling d1 --party a1 --since 2026-01-01
    """
    with open_accounts(config) as accounts:
        secret = accounts.links.add(
            property_id,
            dwelling,
            party,
            _day(since),
            None if until is None else _day(until),
            days,
            name_actor(),
        )
        link = f"{load_config(config).web.public_url}/h/{secret}"
        if json:
            sys.stdout.write(msgspec.json.encode({"link": link}).decode() + "\n")
            return
        sys.stderr.write("Personal link, shown this once:\n")
        sys.stdout.write(link + "\n")


@app.command(name="list")
def list_links(
    config: ConfigOption,
    property_id: Annotated[str | None, typer.Option("--property", help="Only of this property.")] = None,
    after: Annotated[int, typer.Option("--after", help="Only those after this number.")] = 0,
    json: JsonOption = False,
) -> None:
    """List links, 200 at a time, also those that ended; the secrets themselves are known to nobody.

    Example: portal link list --config config/portal.toml --property p1
    """
    with open_accounts(config) as accounts:
        links = accounts.links.page(property_id, after=after)
        cells = (
            (
                *(
                    link.household.link_no,
                    link.household.property_id,
                    link.household.dwelling,
                    link.household.party,
                ),
                *(link.household.since, link.household.until, link.expires_at, link.revoked_at, link.used_at),
            )
            for link in links
        )
        columns = (
            "number",
            "property",
            "dwelling",
            "party",
            "since",
            "until",
            "expires",
            "revoked",
            "last used",
        )
        print_all(links, json, columns, cells, "there is no link: portal link add")


@app.command()
def revoke(number: Annotated[int, typer.Argument(help="The link's number.")], config: ConfigOption) -> None:
    """End a link now, and whatever it opened.

    Example: portal link revoke 17 --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        accounts.links.revoke(number, name_actor())


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} isn't a day: expected 2026-01-31") from None

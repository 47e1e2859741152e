"""`portal token …`: API tokens of machines."""

import sys
from typing import Annotated

import msgspec
import typer

from portal.commands.terminal import ConfigOption, JsonOption, name_actor, open_accounts, print_all
from portal.roles import Permission, Role

app = typer.Typer(no_args_is_help=True, help="API tokens of machines.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    config: ConfigOption,
    role: Annotated[Role, typer.Option("--role", help="What it may do.")],
    days: Annotated[int, typer.Option("--days", help="How long it holds.")] = 365,
    only: Annotated[
        list[Permission] | None,
        typer.Option("--only", help="Only this permission of the role; may be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a token and print it: it can't be shown a second time.

    Example: portal token add "billing backend" --config config/portal.toml --role operator --only feed:read
    """
    with open_accounts(config) as accounts:
        token = accounts.tokens.add(name, role, days, name_actor(), only or ())
        if json:
            sys.stdout.write(msgspec.json.encode({"name": name, "token": token}).decode() + "\n")
            return
        sys.stderr.write(f"API token {name}, shown this once:\n")
        sys.stdout.write(token + "\n")


@app.command(name="list")
def list_tokens(config: ConfigOption, json: JsonOption = False) -> None:
    """List all tokens, also those that ended; the secrets themselves are known to nobody.

    Example: portal token list --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        tokens = accounts.tokens.all()
        cells = (
            (t.name, f"{t.prefix}…", t.role, " ".join(t.permissions), t.expires_at, t.revoked_at, t.used_at)
            for t in tokens
        )
        columns = ("name", "begins", "role", "only", "expires", "revoked", "last used")
        print_all(tokens, json, columns, cells, "there is no token: portal token add")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The token's name.")], config: ConfigOption) -> None:
    """End a token now.

    Example: portal token revoke "billing backend" --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        accounts.tokens.revoke(name, name_actor())

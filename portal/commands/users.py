"""`portal user …`: people who sign in."""

import sys
from typing import Annotated

import msgspec
import typer

from portal.commands.terminal import ConfigOption, JsonOption, name_actor, open_accounts, print_all
from portal.roles import Role

app = typer.Typer(no_args_is_help=True, help="People who sign in with a name and a password.")
NameArgument = Annotated[str, typer.Argument(help="The user's name.")]
RoleOption = Annotated[Role, typer.Option("--role", help="What he may do.")]


@app.command()
def add(
    name: NameArgument,
    config: ConfigOption,
    role: RoleOption,
    display_name: Annotated[str, typer.Option("--display-name", help="As pages show him.")] = "",
    json: JsonOption = False,
) -> None:
    """Add a user and print his one-time password, which he has to change when he first signs in.

    Example: portal user add ada --config config/portal.toml --role operator
    """
    with open_accounts(config) as accounts:
        password = accounts.users.add(name, role, name_actor(), display_name)
        _print_password(name, password, json)


@app.command(name="list")
def list_users(config: ConfigOption, json: JsonOption = False) -> None:
    """List all users.

    Example: portal user list --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        users = accounts.users.all()
        cells = (
            (
                u.name,
                u.display_name,
                u.role,
                _state(u.disabled, u.must_change),
                u.failed_attempts,
                u.signed_in_at,
            )
            for u in users
        )
        columns = ("name", "shown as", "role", "state", "failed attempts", "last signed in")
        print_all(users, json, columns, cells, "nobody has access: portal user add")


@app.command()
def disable(
    name: NameArgument,
    config: ConfigOption,
    undo: Annotated[bool, typer.Option("--undo", help="Let him in again.")] = False,
) -> None:
    """Lock a user out; his sessions end at once.

    Example: portal user disable ada --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        accounts.users.set_disabled(name, not undo, name_actor())


@app.command()
def reset(name: NameArgument, config: ConfigOption, json: JsonOption = False) -> None:
    """Replace a forgotten password by a one-time password; the user's sessions end at once.

    Example: portal user reset ada --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        _print_password(name, accounts.users.reset_password(name, name_actor()), json)


@app.command()
def role(
    name: NameArgument, config: ConfigOption, role: Annotated[Role, typer.Argument(help="The new role.")]
) -> None:
    """Give a user another role; his sessions end at once.

    Example: portal user role ada technician --config config/portal.toml
    """
    with open_accounts(config) as accounts:
        accounts.users.set_role(name, role, name_actor())


def _print_password(name: str, password: str, as_json: bool) -> None:
    """The password alone goes to standard output; that it is shown once, to people."""
    if as_json:
        sys.stdout.write(msgspec.json.encode({"name": name, "password": password}).decode() + "\n")
        return
    sys.stderr.write(f"One-time password of {name}, shown this once:\n")
    sys.stdout.write(password + "\n")


def _state(disabled: bool, must_change: bool) -> str:
    return "disabled" if disabled else "one-time password" if must_change else "active"

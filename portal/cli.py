"""The command line of the portal. What only the server needs is loaded by `serve` and its like: accounts are quick."""

import json

import typer

from portal.commands import access, links, tokens, users
from portal.commands.terminal import ConfigOption, LogFormatOption, exit_codes
from portal.config import load_config
from portal.log import configure_log

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Shows the fleet, the bills and each household's own data in the browser, live.\n\n"
    "Example: portal serve --config config/portal.toml",
)
app.add_typer(users.app, name="user")
app.add_typer(tokens.app, name="token")
app.add_typer(links.app, name="link")
app.add_typer(access.app, name="access")


def main() -> None:
    """Entry point of the program `portal`."""
    app()


@app.command()
def serve(config: ConfigOption, log_format: LogFormatOption = "auto") -> None:
    """Serve until SIGTERM or Ctrl-C. It makes the accounts' schema, or brings an older one up to date.

    Example: portal serve --config config/portal.toml
    """
    from portal.serving import run_until_stopped

    configure_log(log_format=log_format)
    with exit_codes():
        run_until_stopped(load_config(config), lambda line: typer.echo(line, err=True))


@app.command(name="check-config")
def check_config(config: ConfigOption) -> None:
    """Say whether the configuration, and those that it names, can work: exit code 0, or 78 with every problem.

    Example: portal check-config --config config/portal.toml
    """
    from portal.app import make_services

    with exit_codes():
        make_services(load_config(config)).close()
        typer.echo(f"{config}: good")


@app.command()
def openapi() -> None:
    """Print the API's description as docs/contract/openapi.json has it.

    Example: portal openapi > docs/contract/openapi.json
    """
    from portal.app import describe_api

    typer.echo(json.dumps(describe_api(), indent=2, ensure_ascii=False, sort_keys=True))

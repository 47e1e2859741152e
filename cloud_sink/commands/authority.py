"""`ca`, `enroll`, `renew`, `revoke`, `acl`: the installation's certificate authority (docs/operations-keys.md)."""

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from cloud_sink.authority.certificates import make_issuer
from cloud_sink.authority.enrolling import Authority, Issued, Terms
from cloud_sink.authority.publications import Publications, rules
from cloud_sink.authority.register import Register
from cloud_sink.authority.serving import Serving
from cloud_sink.authority.settings import AuthoritySection
from cloud_sink.authority.showing import describe, show_authority
from cloud_sink.authority.vault import Vault, private_pem, replace_file
from cloud_sink.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    LogFormatOption,
    exit_codes,
    make_author,
    now,
    stop_on_signals,
)
from cloud_sink.config import Config, load_config
from cloud_sink.errors import ConfigError, InputRejected, NotPossible
from cloud_sink.log import configure_log
from wastelock.messages import IdentityRequest

ca = typer.Typer(no_args_is_help=True, help="The certificate authority itself.")
enroll = typer.Typer(no_args_is_help=True, help="Gateways get their certificate.")
_AT_GATEWAY = "edge-agent enroll --config /etc/wastelock/edge-agent.toml"
_REQUEST_BYTES_MAX = 32 * 1024

GatewayArgument = Annotated[str, typer.Argument(metavar="GATEWAY", help="The gateway's id.")]
RequestArgument = Annotated[
    Path, typer.Argument(metavar="REQUEST", help="What `edge-agent enroll` wrote; - reads standard input.")
]
AnswerOption = Annotated[
    Path | None, typer.Option("--answer", help="Where the answer goes; without, to standard output.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(ca, name="ca")
    app.add_typer(enroll, name="enroll")
    for command in (renew, revoke, acl):
        app.command()(command)


@ca.command()
def init(
    config: ConfigOption,
    name: Annotated[str, typer.Option(help="The authority's name, in every certificate.")] = "Wastelock",
) -> None:
    """Make the authority: its key (readable by its owner only), certificate, register, files for sinks and broker.

    Example: cloud-sink ca init --config config/cloud-sink.toml --name "Wastelock Lindenhof"
    """
    with exit_codes():
        settings = load_config(config, files_must_exist=False)
        section, files = _section(settings), _files(settings)
        vault = _vault(section)
        issuer = make_issuer(name, now())
        vault.create(issuer)
        files.write(Register(vault.register), issuer, now())
        typer.echo(f"{vault.directory}: made. Keep a copy of this directory where nobody else comes to it:")
        typer.echo("without ca.key each gateway must be enrolled anew, and with it anybody can enrol one.")
        typer.echo(f"for the broker: cafile {vault.certificate}, crlfile {files.revocation_list}, ")
        typer.echo(f"acl_file {files.access_rules}; for sinks: keys.enrolled {files.enrolled}")


@ca.command()
def show(
    config: ConfigOption,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Of one gateway or program only.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the authority and everybody's certificates and page-signing keys, also those of the past.

    Example: cloud-sink ca show --config config/cloud-sink.toml gw-0001
    """
    with opened_authority(config) as (authority, _), authority.register.reading() as decision:
        told = describe(decision, authority.issuer, name, now())
        typer.echo(json_module.dumps(told) if json else show_authority(told))


@ca.command()
def issue(
    config: ConfigOption,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Common name: user name and client id.")],
    role: Annotated[
        Literal["broker", "sink", "feed", "backend", "authority"], typer.Option(help="What it may do.")
    ],
    out: Annotated[Path, typer.Option(help="Directory for NAME.crt and NAME.key.")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Of the broker: a name or address that it is reached by; repeat it."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 730,
    actor: ActorOption = None,
) -> None:
    """Make key and certificate of a program of the cloud: the broker, a sink, its feed, a billing backend, `ca run`.

    Example: cloud-sink ca issue mqtt --role broker --host mqtt.example.org --out certs --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, files):
        author = make_author(actor, "")
        issued = authority.issue(name, role, tuple(host or ()), timedelta(days=days), author)
        _write_pair(issued, name, out)
        typer.echo(
            f"{out / name}.crt, {out / name}.key: made, valid until {issued.certificate.not_valid_after_utc}"
        )
        _publish(authority, files)


@ca.command("run")
def run_authority(config: ConfigOption, log_format: LogFormatOption = "auto") -> None:
    """Renew gateways' certificates over the broker, until SIGTERM or Ctrl-C.

    Example: cloud-sink ca run --config config/cloud-sink.toml
    """
    configure_log(log_format=log_format)
    with opened_authority(config, files_must_exist=True) as (authority, files):
        broker = load_config(config).authority_broker
        Serving(broker, authority, files, now).run(stop_on_signals())


@enroll.command()
def token(
    config: ConfigOption,
    gateway: GatewayArgument,
    site: Annotated[str, typer.Option(help="The site that it belongs to.")],
    hours: Annotated[int, typer.Option(min=1, max=24 * 90, help="How long the token can be used.")] = 72,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Print a token with which this gateway, and no other, can enrol once. It is shown here and never again.

    Example: cloud-sink enroll token gw-0001 --site lindenhof --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, _):
        made, expires_at = authority.make_token(gateway, site, timedelta(hours=hours), make_author(actor, ""))
        if json:
            typer.echo(json_module.dumps({"token": str(made), "expires_at": expires_at.isoformat()}))
        else:
            typer.echo(str(made))
            typer.echo(
                f"for {gateway} of {site}, once, until {expires_at:%Y-%m-%d %H:%M} UTC; there:", err=True
            )
            typer.echo(
                f"{_AT_GATEWAY} --token {made} --request {gateway}.request",
                err=True,
            )


@enroll.command()
def sign(
    config: ConfigOption, request: RequestArgument, answer: AnswerOption = None, actor: ActorOption = None
) -> None:
    """Answer a gateway's request for its certificate, and put its page-signing key in force.

    Example: cloud-sink enroll sign gw-0001.request --answer gw-0001.answer --config config/cloud-sink.toml
    """
    _sign(config, request, answer, actor)


def renew(
    config: ConfigOption, request: RequestArgument, answer: AnswerOption = None, actor: ActorOption = None
) -> None:
    """Answer a renewal by file, where `ca run` can't be reached. The former certificate stays valid until it expires.

    Example: cloud-sink renew gw-0001.request --answer gw-0001.answer --config config/cloud-sink.toml
    """
    _sign(config, request, answer, actor)


def revoke(
    config: ConfigOption,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A gateway or a program of the cloud.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with what was done.")],
    serial: Annotated[
        str | None, typer.Option(help="Only this certificate; its page-signing keys stay in force.")
    ] = None,
    actor: ActorOption = None,
) -> None:
    """Revoke a name's certificates and take its page-signing keys out of force, at once and for ever.

    Example: cloud-sink revoke gw-0001 --reason "stolen" --config config/cloud-sink.toml
    """
    with opened_authority(config) as (authority, files):
        count = authority.revoke(name, serial, make_author(actor, reason))
        typer.echo(f"{name}: certificates revoked: {count}")
        _publish(authority, files)


def acl(
    config: ConfigOption,
    out: Annotated[
        Path | None, typer.Option(help="Write them to this file; without, to standard output.")
    ] = None,
) -> None:
    """Write the broker's access rules, a block for each gateway and program, and say how the broker takes them.

    Example: cloud-sink acl --config config/cloud-sink.toml --out /etc/mosquitto/wastelock-acl.conf
    """
    with opened_authority(config) as (authority, _), authority.register.reading() as decision:
        text = rules(decision, now())
        if out is None:
            typer.echo(text, nl=False)
            return
        try:
            replace_file(out, text.encode(), 0o644)
        except OSError as error:
            raise ConfigError([f"{out}: can't be written: {error.strerror}"]) from error
        _tell_changed([out], "")


def _sign(config: Path, request: Path, answer: Path | None, actor: str | None) -> None:
    with opened_authority(config) as (authority, files):
        made = authority.answer(_read_request(request), make_author(actor, "").actor).to_json()
        if answer is None:
            sys.stdout.buffer.write(made + b"\n")
        else:
            try:
                replace_file(answer, made, 0o644)
            except OSError as error:
                raise ConfigError([f"{answer}: can't be written: {error.strerror}"]) from error
            typer.echo(
                f"{answer}: made; there: {_AT_GATEWAY} --accept {answer.name}",
                err=True,
            )
        _publish(authority, files)


def _read_request(path: Path) -> IdentityRequest:
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(_REQUEST_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                content = file.read(_REQUEST_BYTES_MAX + 1)
        return IdentityRequest.model_validate_json(content)
    except OSError as error:
        raise InputRejected([f"{path}: can't be read: {error.strerror}"]) from error
    except ValidationError:
        raise InputRejected([f"{path}: isn't a request: expected what `edge-agent enroll` wrote"]) from None


def _publish(authority: Authority, files: Publications) -> None:
    _tell_changed(files.write(authority.register, authority.issuer, now()), str(files.enrolled))


def _tell_changed(changed: list[Path], enrolled: str) -> None:
    for path in changed:
        remedy = (
            "sinks on this machine take it by themselves within a second; copy it to others"
            if str(path) == enrolled
            else "the broker takes it with `systemctl reload mosquitto` (SIGHUP)"
        )
        typer.echo(f"{path}: written; {remedy}", err=True)


def _write_pair(issued: Issued, name: str, out: Path) -> None:
    if (out / f"{name}.key").exists():
        raise NotPossible(f"{out / name}.key: is there already; move it away, or name another directory")
    try:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / f"{name}.key", private_pem(issued.key), 0o600)
        replace_file(out / f"{name}.crt", issued.certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise ConfigError([f"{out}: can't be written: {error.strerror}"]) from error


@contextmanager
def opened_authority(
    config: Path, *, files_must_exist: bool = False
) -> Iterator[tuple[Authority, Publications]]:
    """The authority that this configuration names, and where its decisions are written to."""
    with exit_codes():
        settings = load_config(config, files_must_exist=files_must_exist)
        section = _section(settings)
        vault = _vault(section)
        terms = Terms(
            timedelta(days=section.certificate_days),
            timedelta(days=section.key_overlap_days),
            timedelta(seconds=section.key_grace_s),
        )
        yield Authority(vault.open(), Register(vault.register), terms, now), _files(settings)


def _section(settings: Config) -> AuthoritySection:
    if settings.authority is None:
        raise ConfigError(["[authority] is missing: add it (config/cloud-sink.toml shows how)"])
    return settings.authority


def _vault(section: AuthoritySection) -> Vault:
    return Vault(section.directory, section.passphrase_file)


def _files(settings: Config) -> Publications:
    section = _section(settings)
    if settings.keys.enrolled is None:
        raise ConfigError(['keys.enrolled is missing: add enrolled = "enrolled.toml", which sinks read'])
    return Publications(
        settings.keys.enrolled,
        section.crl_file or section.directory / "ca.crl",
        section.acl_file or section.directory / "acl.conf",
    )

"""`edge-agent enroll`: the gateway's certificate, asked for and taken by file, with or without a network."""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge_agent.errors import EXIT_CONFIG, ConfigError, EdgeAgentError
from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption


@dataclass(frozen=True, slots=True)
class IdentityStatus:
    """What there is. Instants as in the contract; `asked`: a request that isn't in use yet."""

    certificate_until: str | None
    renewal_from: str | None
    signing_key: str | None
    asked: bool
    answered: bool


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(enroll)


def enroll(
    config: ConfigOption = DEFAULT_CONFIG,
    token: Annotated[
        str | None, typer.Option(help="Enrol with it: what `cloud-sink enroll token` printed.")
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(help="Write the request to this file; - for standard output.", metavar="FILE"),
    ] = None,
    accept: Annotated[
        Path | None, typer.Option(help="Take the answer in this file; - for standard input.", metavar="FILE")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Ask for the next certificate now; a running agent sends it.")
    ] = False,
    new_signing_key: Annotated[
        bool,
        typer.Option(
            "--new-signing-key", help="Ask with a new page-signing key; without --token as --renew."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Of the state: one JSON object.")] = False,
) -> None:
    """Get this gateway's certificate; its keys are made here and never leave. Without options: say how things stand.

    Example: edge-agent enroll --config /etc/wastelock/edge-agent.toml --token wlt1.… --request gw-0001.request
    """
    try:
        _enroll(config, token, request, accept, renew, new_signing_key, as_json)
    except ConfigError as error:
        _end(error, EXIT_CONFIG)
    except EdgeAgentError as error:
        _end(error, 1)


def _enroll(
    config: Path,
    token: str | None,
    request: Path | None,
    accept: Path | None,
    renew: bool,
    new_signing_key: bool,
    as_json: bool,
) -> None:
    from edge_agent.clock import utc_now
    from edge_agent.config_rules import load_config
    from edge_agent.enrolling import accept_answer, applicant, ask_to_renew, ask_with_token
    from edge_agent.identity import IdentityStore
    from wastelock.enrolment import InvalidToken, Token

    loaded = load_config(config, key_must_exist=False)
    if loaded.identity is None:
        raise ConfigError(f"{loaded.file}: [identity] is missing; remedy: add it, see config/edge-agent.toml")
    store = IdentityStore(loaded.identity.directory)
    if sum((token is not None, accept is not None, renew)) > 1:
        raise ConfigError(
            "--token, --accept and --renew exclude each other; remedy: one step after the other"
        )
    renew = renew or (new_signing_key and token is None)
    if accept is not None:
        answer = accept_answer(store, applicant(loaded), _read(accept))
        store.install()
        print(f"{store.directory}: the certificate is in use; a running agent begins with it within a second")
        if answer.sign_from is not None and answer.sign_from > utc_now():
            print(f"sinks know a new page-signing key from {answer.sign_from:%H:%M:%S} UTC on")
        return
    if token is not None:
        try:
            made = ask_with_token(
                store, loaded, Token.parse(token), utc_now(), new_signing_key=new_signing_key
            )
        except InvalidToken as error:
            raise ConfigError(f"--token: {error}") from None
    elif renew:
        made = ask_to_renew(store, loaded, utc_now(), new_signing_key=new_signing_key)
    else:
        pending = store.pending()
        if request is None or pending is None:
            _show(store, loaded.gateway.signing_key, as_json)
            return
        made = pending.request
    _hand_out(made.to_json(), request, is_renewal=token is None)


def _hand_out(content: bytes, to: Path | None, *, is_renewal: bool) -> None:
    command = "renew" if is_renewal else "enroll sign"
    if to is None:
        if is_renewal:
            print("asked for: a running agent sends it; by file: `edge-agent enroll --request FILE`")
            return
        to = Path("-")
    if str(to) == "-":
        sys.stdout.buffer.write(content + b"\n")
        return
    try:
        to.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{to}: can't be written ({error.strerror}); remedy: name another file") from error
    print(f"{to}: made; in the cloud: cloud-sink {command} {to.name} --answer FILE")
    print("then here: edge-agent enroll --accept FILE")


def _read(path: Path) -> bytes:
    from edge_agent.enrolling import ANSWER_BYTES_MAX

    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(ANSWER_BYTES_MAX + 1)
        with path.open("rb") as file:
            return file.read(ANSWER_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read ({error.strerror}); remedy: name the answer's file"
        ) from error


def _show(store: object, signing_key: Path, as_json: bool) -> None:
    from edge_agent.config_rules import load_signing_key
    from edge_agent.identity import IdentityStore
    from wastelock.enrolment import renewal_due_at
    from wastelock.page import format_instant

    assert isinstance(store, IdentityStore)
    certificate, pending = store.certificate(), store.pending()

    def told(at: datetime | None) -> str | None:
        return None if at is None else format_instant(at)

    status = IdentityStatus(
        told(certificate.not_valid_after_utc if certificate else None),
        told(renewal_due_at(certificate) if certificate else None),
        load_signing_key(signing_key).kid if signing_key.exists() else None,
        pending is not None,
        pending is not None and pending.answer is not None,
    )
    if as_json:
        print(json.dumps(asdict(status)))
        return
    print(f"certificate  until {status.certificate_until or '- (enrol with a token: --token)'}")
    print(f"renewal      from {status.renewal_from or '-'}{', asked for' if status.asked else ''}")
    print(f"signing key  {status.signing_key or '-'}")


def _end(error: EdgeAgentError, code: int) -> NoReturn:
    print(error, file=sys.stderr)
    raise typer.Exit(code) from error

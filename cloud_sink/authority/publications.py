"""What others read of the authority's decisions: keys in force (sinks), revocation list and access rules (broker).

Each file follows from the register and can be written anew at any time; it is replaced whole, and only where something
has changed, so that whoever watches it isn't woken for nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sink.authority.access_rules import write_rules
from cloud_sink.authority.certificates import Issuer, Revoked, make_revocation_list
from cloud_sink.authority.enrolling import GATEWAY
from cloud_sink.authority.register import CertificateRow, Decision, Register
from cloud_sink.authority.vault import replace_file
from cloud_sink.errors import ConfigError

_HEAD = """\
# Page-signing keys in force, written by `cloud-sink ca`, `enroll` and `revoke`: don't edit it, it is written anew.
# A gateway without keys was revoked: nothing that it signs is taken. What stands here goes before gateways.toml.
"""


@dataclass(frozen=True, slots=True)
class Publications:
    """The three files. `write` returns which of them changed."""

    enrolled: Path
    revocation_list: Path
    access_rules: Path

    def write(self, register: Register, issuer: Issuer, at: datetime) -> list[Path]:
        """Bring all three up to date; ConfigError where one can't be written."""
        with register.deciding() as decision:
            try:
                changed = [
                    _replace(self.enrolled, keys_in_force(decision, at).encode(), 0o644),
                    self._write_list(decision, issuer, at),
                    _replace(self.access_rules, rules(decision, at).encode(), 0o644),
                ]
            except OSError as error:
                raise ConfigError([f"{error.filename}: can't be written: {error.strerror}"]) from error
        return [path for path in changed if path is not None]

    def _write_list(self, decision: Decision, issuer: Issuer, at: datetime) -> Path | None:
        revoked = [
            Revoked(int(row.serial, 16), row.revoked_at)
            for row in decision.certificates()
            if row.revoked_at is not None and row.expires_at > at
        ]
        if _serials(self.revocation_list, issuer) == {each.serial for each in revoked}:
            return None
        made = make_revocation_list(issuer, decision.next_list_number(), revoked, at)
        return _replace(self.revocation_list, made.public_bytes(Encoding.PEM), 0o644)


def keys_in_force(decision: Decision, at: datetime) -> str:
    """Return the sinks' list of enrolled gateways with the keys that are in force at this instant."""
    blocks = [_HEAD]
    for gateway in decision.gateways():
        keys = [
            row.public
            for row in decision.signing_keys(gateway.id)
            if row.site == gateway.site and (row.until is None or row.until > at)
        ]
        listed = ", ".join(f'"{key}"' for key in keys)
        blocks.append(
            f'[[gateways]]\nid = "{gateway.id}"\nsite = "{gateway.site}"\npublic_keys = [{listed}]\n'
        )
    return "\n".join(blocks)


def rules(decision: Decision, at: datetime) -> str:
    """Return the broker's access rules for everybody who has a certificate in force."""
    programs = {
        (row.name, row.role) for row in decision.certificates() if row.role != GATEWAY and _holds(row, at)
    }
    return write_rules(decision.gateways(), sorted(programs))


def _holds(row: CertificateRow, at: datetime) -> bool:
    return row.revoked_at is None and row.expires_at > at


def _serials(path: Path, issuer: Issuer) -> set[int] | None:
    """Return what a list that is there names, None where there is none that this authority signed."""
    try:
        found = x509.load_pem_x509_crl(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not found.is_signature_valid(issuer.key.public_key()):
        return None
    return {each.serial_number for each in found}


def _replace(path: Path, content: bytes, mode: int) -> Path | None:
    if path.exists() and path.read_bytes() == content:
        return None
    replace_file(path, content, mode)
    return path

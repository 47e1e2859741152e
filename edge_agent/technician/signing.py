"""The gateway's own key for what a technician's command signs; only root and the agent's user may read it."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_signing_key
from edge_agent.errors import ConfigError, NotTaken
from wastelock.archive import (
    DamagedArchive,
    Manifest,
    NotAnArchive,
    UntrustedArchive,
    check_archive,
    read_lines,
)
from wastelock.page import SigningKey
from wastelock.topics import GatewayTopics


def own_key(config: AgentConfig) -> SigningKey:
    """Return the page-signing key, or raise ConfigError with the remedy."""
    try:
        return load_signing_key(config.gateway.signing_key)
    except ConfigError as error:
        raise ConfigError(
            f"this is signed with the gateway's key, but {error}; remedy: run it as root: sudo edge-agent …"
        ) from error


def check_own_archive(file: Path, key: SigningKey, *, another_key: bool = False) -> Manifest:
    """Return what is in an archive that this gateway has signed, or raise NotTaken.

    `another_key`: it may be one of an earlier key; then only its contents are compared with its manifest.
    """

    def key_of(_topics: GatewayTopics, kid: str) -> Ed25519PublicKey | None:
        return key.private.public_key() if kid == key.kid else None

    try:
        with file.open("rb") as opened:
            return check_archive(read_lines(opened), None if another_key else key_of)
    except UntrustedArchive as error:
        raise NotTaken(
            f"{file}: {error}: where it is this gateway's all the same, of an earlier key, --another-key takes it"
        ) from error
    except (NotAnArchive, DamagedArchive) as error:
        raise NotTaken(f"{file}: {error}: copy or export it once more") from error
    except OSError as error:
        raise NotTaken(f"{file}: can't be read ({error.strerror}): is the stick mounted?") from error

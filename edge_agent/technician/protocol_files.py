"""Writes a protocol: signed for the cloud, as PDF and as text for people. Never over one that is there."""

import os
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from edge_agent.config import AgentConfig
from edge_agent.errors import ConfigError, MediumFailed
from edge_agent.technician.kept_files import keep_files
from edge_agent.technician.protocol_findings import Language
from edge_agent.technician.protocol_words import describe
from edge_agent.technician.signing import own_key
from wastelock.protocol import PROTOCOL_SUFFIX, Protocol
from wastelock.signed_file import InvalidFile, read_file, seal_file
from wastelock.topics import GatewayTopics

SOFTWARE = version("wastelock")


class ProtocolFiles:
    """Where a gateway's protocols go. Made before anything is done at a lock: without a key nothing would count."""

    def __init__(self, config: AgentConfig, directory: Path | None, language: Language) -> None:
        """`directory`: None is `protocols` beside the spool. ConfigError where it or the key can't be used."""
        self.directory = directory or config.spool.path.parent / "protocols"
        self._topics = GatewayTopics(config.gateway.site, config.gateway.id)
        self._language = language
        self._key = own_key(config)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.directory}: can't be made ({error.strerror}); remedy: name another directory with --out"
            ) from error
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{self.directory}: this user may not write there; remedy: name another directory with --out"
            )

    def name(self, what: str, at: datetime) -> str:
        """Return a reference for a protocol that begins now."""
        return f"{self._topics.gateway}-{at:%Y%m%dT%H%M%S}-{what}"

    def write(self, protocol: Protocol) -> list[Path]:
        """Write the three files and return their names, the signed one first."""
        from edge_agent.technician.protocol_pdf import to_pdf
        from edge_agent.technician.protocol_text import to_text

        document = describe(protocol, self._key.kid, self._language)
        signed = seal_file("protocol", protocol, self._topics.protocol_file, self._key)
        place = self._signed_file(protocol.reference)
        if self.is_written(protocol.reference) and place.read_bytes() != signed.to_json():
            raise MediumFailed(f"{place}: is there already, and isn't written over: begin again")
        # The signed one last: once it is there, all of them are.
        contents = {
            place.with_name(f"{protocol.reference}.pdf"): to_pdf(document, protocol.ended_at),
            place.with_name(f"{protocol.reference}.txt"): to_text(document).encode(),
            place: signed.to_json(),
        }
        keep_files(contents)
        return sorted(contents, key=lambda path: path != place)

    def is_written(self, reference: str) -> bool:
        """True if the protocol of this name is there as a whole; half a file counts as none."""
        try:
            read_file(self._signed_file(reference).read_bytes(), "protocol")
        except (OSError, InvalidFile):
            return False
        return True

    def _signed_file(self, reference: str) -> Path:
        return self.directory / f"{reference}{PROTOCOL_SUFFIX}"

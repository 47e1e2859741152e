"""The section [authority] of the sink's configuration."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wastelock.topics import check_name


class AuthoritySection(BaseModel):
    """The installation's own certificate authority; only its commands and `cloud-sink ca run` read this.

    `crl_file`, `acl_file`: what the broker reads; default: in the directory. `key_overlap_days`: how long a
    page-signing key stays in force beside its successor. `key_grace_s`: how long until all sinks know a new one. The
    rest: as whom `ca run` goes to the broker of [mqtt].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path
    passphrase_file: Path | None = None
    crl_file: Path | None = None
    acl_file: Path | None = None
    certificate_days: Annotated[float, Field(gt=0, le=3650)] = 90
    key_overlap_days: Annotated[float, Field(ge=0, le=3650)] = 90
    key_grace_s: Annotated[float, Field(ge=0, le=86_400)] = 60
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @field_validator("client_id")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None:
            check_name("name", name)  # its error is a ValueError
        return name

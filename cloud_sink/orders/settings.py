"""The section [orders] of the sink's configuration."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class OrdersSection(BaseModel):
    """`signing_key`: what orders are signed with; without it they wait, and nothing is sent to gateways.

    `keep_days`: how long commands and their outcomes are kept. `forget_days`: how long it is kept who was in an access
    list of before, and the number of a transponder that no list has any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signing_key: Path | None = None
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    forget_days: Annotated[int, Field(ge=1, le=36_500)] = 90

"""From when on something is worth an alarm: section [twins] of the sink's configuration."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Seconds = Annotated[int, Field(ge=1, le=365 * 86_400)]
_Permille = Annotated[int, Field(ge=0, le=1000)]


class Thresholds(BaseModel):
    """The defaults suit gateways that report every minute and containers that are emptied once a week."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stale_after_s: _Seconds = 180
    offline_after_s: _Seconds = 900
    lock_stale_after_s: _Seconds = 1_200
    lock_offline_after_s: _Seconds = 7_200
    backlog_old_s: _Seconds = 3_600
    disk_low_mib: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    clock_off_s: _Seconds = 60
    missing_after_s: _Seconds = 900
    completeness_permille: _Permille = 995
    full_soon_permille: _Permille = 900
    full_within_days: Annotated[int, Field(ge=0, le=60)] = 1
    balance_over_permille: Annotated[int, Field(ge=1000, le=10_000)] = 2_500
    balance_under_permille: _Permille = 300
    container_ml: Annotated[int, Field(ge=10_000, le=40_000_000)] = 1_100_000
    evaluate_every_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    history_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    closed_alarms_days: Annotated[int, Field(ge=1, le=3650)] = 400

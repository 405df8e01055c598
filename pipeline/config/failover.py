"""Failover: a route's order of backends, when another is tried, and which are left out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.quantities import Duration
from pipeline.config.section import Name, Section

_MOST_ATTEMPTS = 100
_MOST_WEIGHT = 1_000_000
_CLASSES = ("5xx", "connect", "reset")
_LEAST_STATUS = 400
_MOST_STATUS = 599


def _as_shares(value: Any) -> Any:
    if isinstance(value, str):
        return {value: 1}
    if isinstance(value, dict):
        return value
    raise ValueError("this must be a backend's name, or names with weights: `{a: 3, b: 1}`")


def _as_cause(value: Any) -> Any:
    is_status = type(value) is int and _LEAST_STATUS <= value <= _MOST_STATUS
    if not is_status and value not in _CLASSES:
        raise ValueError("an attempt fails on 5xx, connect, reset, or a status from 400 to 599")
    return value


Shares = Annotated[
    dict[Name, Annotated[int, Field(ge=1, le=_MOST_WEIGHT, strict=True)]],
    Field(min_length=1),
    BeforeValidator(_as_shares, json_schema_input_type=str | dict[str, int]),
]
"""Backends of one priority with their weights; one alone is written as its name."""

Cause = Annotated[str | int, BeforeValidator(_as_cause)]
"""What makes an attempt fail: a class of failures, or a status."""


class BackOffConfig(Section):
    """The pause before an attempt: random, up to `base`, then up to twice as much each time."""

    base: Duration = Field(0.025, ge=0.001, description="Before the second attempt (duration).")
    max: Duration = Field(0.25, description="Before any attempt (duration).")

    @model_validator(mode="after")
    def _ordered(self) -> BackOffConfig:
        if self.max < self.base:
            raise ValueError("`max` is not below `base`")
        return self


class RetriesConfig(Section):
    """When an attempt has failed, and how many more follow; never once an answer has begun."""

    on: list[Cause] = Field(
        default=["5xx", 429, "connect", "reset"],
        min_length=1,
        description="Failures: a status, `5xx`, `connect` (no connection) and `reset` (an attempt "
        "that ends without an answer, or is silent for too long). `5xx` includes the other two.",
    )
    attempts: int | None = Field(
        None,
        ge=1,
        le=_MOST_ATTEMPTS,
        description="Attempts in all, the first included; as many as there are backends if absent.",
    )
    attempts_per_priority: int = Field(
        1,
        ge=1,
        le=_MOST_ATTEMPTS,
        description="Attempts at one priority before the next, and after the last the first again.",
    )
    per_try_timeout: Duration | None = Field(
        None,
        gt=0,
        description="How long an attempt may take until its answer begins; the route's `timeout` "
        "if absent (duration).",
    )
    back_off: BackOffConfig = Field(default=BackOffConfig(), description=BackOffConfig.__doc__)
    retry_after: Duration | None = Field(
        None,
        gt=0,
        description="Longest `Retry-After` that the next attempt waits for; a longer one is "
        "ignored. If absent, 30 s on a route with one backend, and no wait where there are "
        "several: another backend has not asked for it (duration).",
    )
    budget_percent: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Share of the route's requests in flight that may be later attempts, three "
        "at least; no limit if absent. Failing over counts too.",
    )


class OutlierConfig(Section):
    """When a backend that fails is left out for a while."""

    consecutive_failures: int = Field(
        5, ge=1, description="Failures in a row (5xx, no connection, reset, silence) that do it."
    )
    base_ejection: Duration = Field(
        30.0, gt=0, description="How long for; each time in a row longer by this (duration)."
    )
    max_ejection: Duration = Field(300.0, gt=0, description="How long for at most (duration).")
    max_percent: int = Field(
        100, ge=1, le=100, description="Share of a route's hosts that may be left out at once."
    )

    @model_validator(mode="after")
    def _ordered(self) -> OutlierConfig:
        if self.max_ejection < self.base_ejection:
            raise ValueError("`max_ejection` is not below `base_ejection`")
        return self

"""Telemetry in the config: logs, metrics, spans, and what is kept of past exchanges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.config.quantities import Size
from pipeline.config.section import Section


class RecordConfig(Section):
    """A share of ext_proc streams, written down for `dragoman replay`."""

    share: str = Field(
        pattern=r"^(100|[1-9]?[0-9](\.[0-9]{1,3})?)%$", description="Of all streams: `1%`, `0.1%`."
    )
    folder: str = Field("recordings", description="Where the files go, one for each process.")
    max_bytes: Size = Field(
        64 * 2**20,
        ge=2**20,
        description="What one process keeps on disk; the oldest goes first (size).",
    )
    bodies: Literal["redacted", "full"] = Field(
        "redacted",
        description="`redacted` masks every text and keeps shapes and lengths; `full` writes "
        "prompts and answers down. Credentials and other header values are masked either way.",
    )

    @property
    def share_of_all(self) -> float:
        """The share as a number from 0 to 1."""
        return float(self.share.removesuffix("%")) / 100


class TelemetryConfig(Section):
    """Logs, metrics, spans, and what is kept of past exchanges."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged; `debug` has a line per exchange."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="`json` for machines, `console` for people."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector (`http://host:4318`); needs `dragoman[otlp]`.",
    )
    keep: int = Field(
        200,
        ge=0,
        le=10_000,
        description="Past exchanges that a process remembers for `dragoman explain --id`, where "
        "`server.admin_token` is set.",
    )
    keep_texts: bool = Field(
        default=False, description="Whether the texts that plugins changed are remembered too."
    )
    record: RecordConfig | None = Field(None, description=RecordConfig.__doc__)

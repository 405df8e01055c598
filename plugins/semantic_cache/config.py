"""The options of `semantic_cache`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from pipeline.api import Duration, PluginConfig, Secret, Size
from plugins.semantic_cache.stores.address import parse

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\Z")
_PATTERN = _PERCENT.pattern.replace(r"\Z", "$")


def parse_share(value: Any) -> Any:
    """Read `1%` as 0.01; a number stays what it is.

    Raises:
        ValueError: a text that is no percentage.
    """
    if not isinstance(value, str):
        return value
    match = _PERCENT.match(value)
    if match is None:
        raise ValueError("a share is a percentage, 1%, or a number from 0 to 1")
    return float(match[1]) / 100


Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=float | str)]


class StoreConfig(PluginConfig):
    """How a store on another machine is asked."""

    namespace: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="Caches of one namespace at one address are one cache.",
    )
    get_timeout: Duration = Field(
        0.05, gt=0, description="How long a lookup waits for the store; then it is a miss."
    )
    write_timeout: Duration = Field(1.0, gt=0, description="How long a write may take.")
    poll: Duration = Field(
        0.25, gt=0, description="How often entries of other processes are asked for."
    )
    username: str = Field("", description="Over the one in the address.")
    password: Secret | None = Field(None, description="Over the one in the address.")
    sentinel_password: Secret | None = Field(None, description="Of the sentinels themselves.")
    tls_ca: str = Field(
        "", description="File of certificates that the server's is signed by; else the system's."
    )
    tls_cert: str = Field("", description="File of this side's certificate, for mTLS.")
    tls_key: str = Field("", description="File of its key.")
    tls_check_hostname: bool = Field(
        default=True, description="Whether the server's certificate must name the host asked for."
    )


class Semantic(PluginConfig):
    """When another wording of a question may be answered from the cache."""

    enabled: bool = Field(default=True, description="`false`: only the very same call hits.")
    max_error: Share = Field(
        0.01,
        gt=0,
        lt=1,
        description="The false-hit budget: the share of semantic hits that may be wrong.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="The least cosine of a hit, beside the budget; if absent the budget decides.",
    )
    neighbours: int = Field(4, ge=1, le=32, description="How many near questions are verified.")
    max_turns: int = Field(
        4, ge=1, description="A conversation of more user turns hits only by the same call."
    )
    tools: bool = Field(
        default=False, description="`true`: calls that offer tools hit by another wording too."
    )
    shadow_share: Share = Field(
        0.0,
        ge=0,
        le=1,
        description="The share of semantic hits that go to the provider all the same, so that "
        "its answer shows whether the hit was right; the client gets the provider's. Of near "
        "misses the same share is compared.",
    )
    calibration: str | None = Field(
        None,
        description="File that `dragoman cache calibrate` wrote; if absent, the shipped "
        "calibration of the embedding's model.",
    )
    embedding_timeout: Duration = Field(
        0.5, description="How long a lookup waits for the embedding; then it is a miss."
    )


class SemanticCacheConfig(PluginConfig):
    """The options of `semantic_cache`."""

    store: Secret = Field(
        default="memory",
        validate_default=True,
        description="Where entries are kept: `memory` (this process), `sqlite:///path` (this "
        "node), `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://`, "
        "`redis+cluster://`; `file:/path` reads the address from a file.",
    )
    index: Secret | None = Field(
        None,
        description="A Milvus that all nodes search, for more entries than a node's memory holds: "
        "`http://[user:password@]host:19530`, or a file that ends in `.db` for Milvus Lite; needs "
        "`dragoman[milvus]`. If absent, each process searches an index of its own.",
    )
    store_options: StoreConfig = Field(
        StoreConfig(), description="How a store on another machine is asked."
    )
    ttl: Duration = Field(3600.0, gt=0, description="How long an entry is fresh.")
    ttl_jitter: Share = Field(
        0.1,
        ge=0,
        le=0.5,
        description="By how much of `ttl` entries die earlier, so that they do not die at once.",
    )
    stale: Duration = Field(
        0.0,
        description="How long after that an entry still answers while one request fetches anew.",
    )
    scope: Literal["tenant", "shared"] = Field(
        "tenant",
        description="`tenant`: what one tenant paid for answers no other, and a call without a "
        "tenant is not cached; `shared`: all tenants of the route share.",
    )
    semantic: Semantic = Field(Semantic(), description="When another wording may hit.")
    coalesce_wait: Duration = Field(
        10.0, description="How long equal calls wait for the one in flight; `0s`: not at all."
    )
    max_entries: int = Field(100_000, ge=1, description="Entries a route may have in a process.")
    max_bytes: Size = Field(
        2**30, ge=1, description="Bytes of questions and answers that a route may have."
    )
    max_entry_bytes: Size = Field(2**20, ge=1, description="An answer over this is not stored.")
    eviction: Literal["cost", "lru"] = Field(
        "cost",
        description="Who goes when a route is full: what saves least for its size (`cost`), or "
        "what was not asked for longest (`lru`).",
    )
    tags_header: str | None = Field(
        "x-cache-tags",
        pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$",
        description="The request header whose comma-separated words tag a stored entry, for "
        "deleting by; null: none.",
    )
    client_control: bool = Field(
        default=True, description="Whether a request's `Cache-Control` is obeyed."
    )
    debug_headers: bool = Field(
        default=True,
        description="Whether responses say `x-dragoman-cache`, `x-dragoman-similarity` and "
        "`x-dragoman-entry`.",
    )

    @field_validator("store")
    @classmethod
    def _is_an_address(cls, store: SecretStr) -> SecretStr:
        parse(store.get_secret_value())
        return store

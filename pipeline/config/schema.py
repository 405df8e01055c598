"""The schema of the config: every key with its description, unit and default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from pipeline.api.headers import HeaderEdits
from pipeline.config.failover import OutlierConfig, RetriesConfig, Shares
from pipeline.config.inference import InferenceConfig
from pipeline.config.quantities import Address, Duration, GrpcAddress, Secret, Size
from pipeline.config.section import HeaderName, Name, Section
from pipeline.config.telemetry import TelemetryConfig
from pipeline.config.tls import BackendTlsConfig, HostTlsConfig, ServerTlsConfig
from pipeline.config.workers import MOST_WORKERS, Workers, worker_addresses

# gRPC counts the bytes of a message in 31 bits.
_LARGEST_MESSAGE = 2**30
_SHORTEST_TOKEN = 16
_FRAMING = frozenset(
    {"host", "content-length", "content-encoding", "transfer-encoding", "connection"}
)


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        # Not the parser's own words: they quote what may be a password.
        raise ValueError("a URL starts with http:// or https:// and names a host, a port if any")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("a base URL has no query, fragment or user")
    return value


class ServerConfig(Section):
    """The ext_proc server, and the HTTP server for health and metrics."""

    address: GrpcAddress = Field(
        "unix:.dragoman/ext_proc.sock",
        description="Where Envoy reaches the host: `unix:/path` or `host:port`.",
    )
    admin: Address = Field(
        "127.0.0.1:9902",
        description="Where `/metrics`, `/health/live` and `/health/ready` are served.",
    )
    admin_token: Secret | None = Field(
        None,
        description="Token for what the admin server tells of single exchanges and for plugins' "
        "pages; `${ENV}` or `file:/path`, at least 16 characters. Without one it has neither.",
    )
    drain: Duration = Field(
        2.0, description="How long exchanges in flight may take to end after SIGTERM (duration)."
    )
    workers: Workers = Field(
        1,
        ge=1,
        le=MOST_WORKERS,
        description="Processes that serve Envoy, or `auto` for one per CPU. Several of them have "
        "`address` with `.0`, `.1`, … or the ports from the configured one on.",
    )
    reload: Literal["watch", "signal"] = Field(
        "watch",
        description="When the config is read again: `watch` when its file or a secret's changed "
        "and on SIGHUP, `signal` on SIGHUP only.",
    )
    tls: ServerTlsConfig | None = Field(None, description=ServerTlsConfig.__doc__)

    @field_validator("admin_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_TOKEN:
            raise ValueError(f"a token has at least {_SHORTEST_TOKEN} characters")
        return value

    @model_validator(mode="after")
    def _has_addresses(self) -> ServerConfig:
        worker_addresses(self.address, self.workers)
        if self.tls is not None and self.address.startswith("unix:"):
            raise ValueError("`tls` needs an `address` of the form host:port")
        return self


class EnvoyConfig(Section):
    """Envoy's side, as `dragoman envoy` prints it and `dragoman run` starts it."""

    listen: Address = Field("127.0.0.1:10000", description="Where clients reach Envoy.")
    admin: Address = Field("127.0.0.1:9901", description="Envoy's admin endpoint.")
    body_limit: Size = Field(
        32 * 2**20,
        le=_LARGEST_MESSAGE,
        description="Largest request or response body that Envoy buffers (size).",
    )
    slack: Duration = Field(
        0.05, description="Added to a chain's budget to give Envoy's message timeout (duration)."
    )
    concurrency: int = Field(
        0, ge=0, description="Envoy's worker threads in `dragoman run`; 0 is one per core."
    )
    host_tls: HostTlsConfig = Field(
        default=HostTlsConfig(), description="How Envoy speaks TLS to the host, with `server.tls`."
    )


class TenantConfig(Section):
    """Who an exchange belongs to."""

    header: HeaderName | None = Field(
        None,
        description="Header that names the tenant, set by a filter that clients cannot spoof.",
    )
    credential: bool = Field(
        default=True,
        description="Without that header, a hash of the client's credential is the tenant.",
    )


class LimitsConfig(Section):
    """What one exchange may use of a host process, and all of them together."""

    request_body: Size = Field(
        16 * 2**20,
        le=_LARGEST_MESSAGE,
        description="Largest request body; a larger one is answered with 413 (size).",
    )
    response_body: Size = Field(
        32 * 2**20, description="Largest answer that the host holds for its plugins (size)."
    )
    event: Size = Field(2 * 2**20, description="Largest single event of a stream (size).")
    threads: int = Field(
        4, ge=1, le=64, description="Threads for plugins that declare themselves blocking."
    )
    exchanges: int = Field(
        4096,
        ge=1,
        description="Exchanges at once in one process. Those over it go on without plugins where "
        "all plugins of the route fail open, and are answered with 503 elsewhere.",
    )
    process_bytes: Size = Field(
        256 * 2**20,
        description="Bodies that one process holds at once; what would exceed it is answered "
        "with 503 (size).",
    )


class InstanceConfig(Section):
    """One named plugin instance, with the policies that the host enforces for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    uses: str = Field(
        description="Entry point of group `dragoman.plugins`, a `module:object`, or the name of a "
        "module in `plugins_dir`."
    )
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", repr=False, description="The plugin's own options."
    )
    timeout: Duration | None = Field(
        None, description="Budget of each hook; the plugin's own default if absent (duration)."
    )
    on_error: Literal["open", "closed"] | None = Field(
        None,
        description="After a failure: `open` goes on without the plugin, `closed` refuses; the "
        "plugin's own default if absent.",
    )
    mode: str = Field(
        "enforce",
        pattern=r"^(enforce|shadow|(100|[1-9]?[0-9])%)$",
        description="`enforce`, `shadow` (decisions are recorded, not applied) or `N%`: enforced "
        "for that share of tenants, always the same ones, in shadow for the rest.",
    )
    when: str | None = Field(
        None,
        description="CEL expression over `route`, `method`, `path`, `headers`, `tenant`, `model`, "
        "`stream`; the plugin runs where it is true.",
    )


class BackendHeadersConfig(Section):
    """Edits to the headers that a backend is sent, after the provider's own."""

    set: dict[HeaderName, Secret] = Field(
        default_factory=dict,
        description="Header names to values; `${ENV}` or `file:/path`.",
    )
    remove: list[HeaderName] = Field(default_factory=list, description="Header names.")

    @field_validator("set", "remove")
    @classmethod
    def _not_framing(cls, value: Any) -> Any:
        for name in value:
            if name in _FRAMING:
                raise ValueError(f"{name!r} is Envoy's own business")
        return value

    @model_validator(mode="after")
    def _legal(self) -> BackendHeadersConfig:
        _ = self.edits
        return self

    @property
    def edits(self) -> HeaderEdits:
        """The edits."""
        values = {name: value.get_secret_value() for name, value in self.set.items()}
        return HeaderEdits(set=values, remove=frozenset(self.remove) - values.keys())


class BackendConfig(Section):
    """A provider endpoint; beside these it takes the options of its provider."""

    # What is left over is the provider's, which checks it.
    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str = Field(
        description="Upstream API format; [the providers](providers.md) and their options."
    )
    url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="Base URL; the provider's own if absent."
    )
    api_key: Secret | None = Field(
        None,
        description="Credential; `${ENV}` or `file:/path`. Without one the client's own goes on.",
    )
    models: dict[str, str] = Field(
        default_factory=dict,
        description="Model asked for to this backend's name of it; others go as they are.",
    )
    strict: bool = Field(
        default=False,
        description="Whether a call that the provider cannot carry whole is refused; else what it "
        "cannot carry is left out, and told in `x-dragoman-dropped`.",
    )
    headers: BackendHeadersConfig = Field(
        default=BackendHeadersConfig(), description=BackendHeadersConfig.__doc__
    )
    patch: list[dict[str, Any]] = Field(
        default_factory=list,
        repr=False,
        description="Operations of JSON Patch (RFC 6902) on the document that the backend is "
        "sent; to `remove` what is not there is no error.",
    )
    key_header: HeaderName | None = Field(
        None,
        description="Header in which clients may bring their own key for this backend; it does "
        "not go on under that name.",
    )

    host: str | None = Field(
        None,
        pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$",
        description="The `host` header that the backend is sent; the URL's host if absent.",
    )
    tls: BackendTlsConfig | None = Field(None, description=BackendTlsConfig.__doc__)

    @model_validator(mode="after")
    def _tls_has_a_use(self) -> BackendConfig:
        if self.tls is not None and self.url is not None and self.url.startswith("http://"):
            raise ValueError("`tls` needs a `url` that starts with https://")
        return self

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            HeaderEdits(set={"authorization": value.get_secret_value()})
        return value

    @property
    def options(self) -> dict[str, Any]:
        """What is none of the keys that all backends have."""
        return dict(self.model_extra or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leave out the provider's options: secrets may be among them."""
        own = type(self).model_fields
        return (pair for pair in super().__repr_args__() if pair[0] in own)


class MatchConfig(Section):
    """What a route matches; every key given must match."""

    path: str | None = Field(None, pattern="^/", description="The exact path.")
    path_prefix: str | None = Field(None, pattern="^/", description="A prefix of the path.")
    host: str | None = Field(
        None, description="The host, exact or as `*.suffix`; a port in the request is ignored."
    )
    headers: dict[HeaderName, str] = Field(
        default_factory=dict, description="Header names to exact values."
    )
    model: str | None = Field(
        None, description="The model asked for; `*` stands for any characters."
    )

    @model_validator(mode="after")
    def _one_path(self) -> MatchConfig:
        if self.path is not None and self.path_prefix is not None:
            raise ValueError("give `path` or `path_prefix`, not both")
        return self


class RouteConfig(Section):
    """A route: what it matches, its plugins in order, its backends in order of priority."""

    name: Name = Field(description="Unique name; it labels metrics, logs and spans.")
    match: MatchConfig = Field(default=MatchConfig(), description="What the route matches.")
    plugins: list[str] = Field(
        default_factory=list,
        description="Plugin instances: requests pass them in this order, responses in reverse.",
    )
    backends: list[Shares] = Field(
        default_factory=list,
        description="Backends in order of priority; the next on failure. Those of one priority "
        "share it by weight: `[first, {second: 3, third: 1}, last]`.",
    )
    retries: RetriesConfig = Field(default=RetriesConfig(), description=RetriesConfig.__doc__)
    outlier: OutlierConfig | None = Field(None, description=OutlierConfig.__doc__)
    dialect: str | None = Field(None, description="Client API format; found by the path if absent.")
    other: Literal["refuse", "pass"] = Field(
        "refuse",
        description="Requests that are no LLM call (GET, unknown path, multipart): `refuse` with "
        "404, or `pass` on untouched.",
    )
    check: bool = Field(
        default=True,
        description="Whether calls are checked to be valid even where no plugin reads them.",
    )
    timeout: Duration = Field(
        300.0, description="How long the whole answer may take, all attempts together (duration)."
    )
    idle_timeout: Duration | None = Field(
        None,
        gt=0,
        description="How long a backend may be silent: before the first byte the attempt has "
        "failed then, after it the answer is broken off; `timeout` if absent. With a "
        "`per_try_timeout`, an answer may be silent for as long as all attempts may take at least "
        "(duration).",
    )
    connect_timeout: Duration = Field(
        5.0, gt=0, description="How long connecting to a backend may take (duration)."
    )

    @property
    def backend_names(self) -> list[str]:
        """The backends in order of priority."""
        return [name for shares in self.backends for name in shares]


class Config(Section):
    """The whole config of Dragoman."""

    server: ServerConfig = Field(default=ServerConfig(), description=ServerConfig.__doc__)
    envoy: EnvoyConfig = Field(default=EnvoyConfig(), description=EnvoyConfig.__doc__)
    tenant: TenantConfig = Field(default=TenantConfig(), description=TenantConfig.__doc__)
    limits: LimitsConfig = Field(default=LimitsConfig(), description=LimitsConfig.__doc__)
    telemetry: TelemetryConfig = Field(
        default=TelemetryConfig(), description=TelemetryConfig.__doc__
    )
    inference: InferenceConfig = Field(
        default=InferenceConfig(), description=InferenceConfig.__doc__
    )
    plugins_dir: str | None = Field(
        None,
        description="Folder of local plugin modules, relative to the config file; only modules "
        "that `uses` names are imported.",
    )
    plugins: dict[Name, InstanceConfig] = Field(
        default_factory=dict, description="Named plugin instances."
    )
    backends: dict[Name, BackendConfig] = Field(
        default_factory=dict, description="Named provider endpoints."
    )
    routes: list[RouteConfig] = Field(
        default_factory=list, description="Routes; the first that matches is taken."
    )

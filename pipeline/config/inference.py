"""The `inference` section: which models compute signals, on what, and how much they may take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from pipeline.config.quantities import Duration, Size
from pipeline.config.section import Name, Section
from pipeline.config.tls import BackendTlsConfig

Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")]
NodeAddress = Annotated[
    str, StringConstraints(pattern=r"^(grpc|grpcs)://[A-Za-z0-9.\[\]:_-]+:[0-9]{1,5}$|^unix:.+$")
]


class ExtraModelConfig(Section):
    """A model of your own: a Hugging Face classifier or embedder, by hub id or path."""

    path: str = Field(description="Folder, relative to the config file, or hub id (`org/name`).")
    task: Literal["classify", "tag", "embed"] = Field(
        description="`classify` texts, `tag` tokens, or `embed`."
    )
    revision: str | None = Field(
        None, description="Commit of a hub id; needed for one, for a branch may change."
    )
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Of its `model.safetensors`; one that differs is refused."
    )
    signals: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Signal to the model's labels whose probabilities it adds up; the signal is "
        "the model's name with all its labels if absent.",
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="Probability from which on plugins act by default."
    )
    max_tokens: int | None = Field(
        None, ge=16, description="Tokens in a window; the model's own maximum if absent."
    )


class RemoteSignalConfig(Section):
    """A signal as another server's model has it among its outputs."""

    output: str = Field(description="Name of the output tensor.")
    kind: Literal["score", "labels", "embedding"] = Field(
        "score", description="A probability, one for each of `labels`, or a vector."
    )
    column: int | None = Field(
        None, ge=0, description="Of a `score`: which of a text's numbers it is, from 0."
    )
    labels: list[str] = Field(
        default_factory=list, description="Of `labels`: what a text's numbers stand for, in order."
    )
    activation: Literal["none", "sigmoid", "softmax"] = Field(
        "none", description="Makes probabilities of what the output holds."
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="Probability from which on plugins act by default."
    )
    abstain_below: float = Field(
        0.0, ge=0, le=1, description="Of `labels`: a top probability under it is no label."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> RemoteSignalConfig:
        if (self.kind == "labels") is not bool(self.labels):
            raise ValueError("`labels` go with `kind: labels`, and it with them")
        if self.column is not None and self.kind != "score":
            raise ValueError("a `column` goes with `kind: score`")
        if self.activation != "none" and self.kind == "embedding":
            raise ValueError("an embedding has no `activation`")
        return self


class RemoteModelConfig(Section):
    """A model on another server of the Open Inference Protocol v2, for instance Triton."""

    address: list[NodeAddress] = Field(
        min_length=1, description="Where it is served, `grpc://host:port` or `grpcs://host:port`."
    )
    tls: BackendTlsConfig | None = Field(None, description=BackendTlsConfig.__doc__)
    model: str | None = Field(None, description="Its name there; the name here if absent.")
    version: str = Field("", description="Its version there; the server's choice if empty.")
    input: str = Field("text", description="Name of the input tensor of type BYTES.")
    signals: dict[Name, RemoteSignalConfig] = Field(
        min_length=1, description="Signals that its outputs are."
    )

    @model_validator(mode="after")
    def _has_one_embedding(self) -> RemoteModelConfig:
        if sum(signal.kind == "embedding" for signal in self.signals.values()) > 1:
            raise ValueError("a model has one embedding at most")
        return self

    @model_validator(mode="after")
    def _tls_has_a_use(self) -> RemoteModelConfig:
        _check_tls(self.tls, self.address)
        return self


class InferenceConfig(Section):
    """The models that compute signals for plugins, and what they may use."""

    tier: Literal["tiny", "small"] = Field(
        "small",
        description="`small`: a MiniLM trunk with heads. `tiny`: static embeddings, 100 times "
        "cheaper, less sure.",
    )
    device: Device = Field(
        "auto", description="`cpu`, `cuda`, `cuda:N`, or `auto`: a GPU where torch sees one."
    )
    address: list[NodeAddress] = Field(
        default_factory=list,
        description="Nodes that compute instead of this process, `grpc://host:port` or "
        "`grpcs://host:port`, of the Open Inference Protocol v2; a lost one is tried once "
        "elsewhere.",
    )
    tls: BackendTlsConfig | None = Field(None, description=BackendTlsConfig.__doc__)
    timeout: Duration = Field(
        1.0, gt=0, description="How long one reading may take at most (duration)."
    )
    threads: int = Field(
        0, ge=0, le=64, description="CPU threads of a forward pass; 0 is what measured best."
    )
    batch_tokens: int = Field(
        8192,
        ge=512,
        description="Tokens in one pass at most, padding among them; slow devices take fewer.",
    )
    queue: int = Field(1024, ge=1, description="Texts that may wait; one more is refused at once.")
    windows: int = Field(
        16, ge=1, le=1024, description="Windows read of one text; what lies behind is counted."
    )
    memory: Size = Field(32 * 2**20, description="Readings of recent texts that are kept (size).")
    models: dict[Name, ExtraModelConfig] = Field(
        default_factory=dict, description="Models of your own, beside the tier's."
    )

    remote: dict[Name, RemoteModelConfig] = Field(
        default_factory=dict, description="Models on other servers, beside the tier's."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> InferenceConfig:
        for name in self.remote:
            if name in self.models:
                raise ValueError(f"{name!r} is in `models` and in `remote`")
        return self

    @model_validator(mode="after")
    def _tls_has_a_use(self) -> InferenceConfig:
        _check_tls(self.tls, self.address)
        return self


def _check_tls(tls: BackendTlsConfig | None, addresses: list[str]) -> None:
    if tls is not None and not any(address.startswith("grpcs://") for address in addresses):
        raise ValueError("`tls` needs an `address` that starts with grpcs://")

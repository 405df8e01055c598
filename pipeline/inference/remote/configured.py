"""Sources on other nodes, as the config has them."""

from __future__ import annotations

from pipeline.config.inference import InferenceConfig, RemoteModelConfig, RemoteSignalConfig
from pipeline.inference.contract import Head
from pipeline.inference.remote.client import RemoteSource
from pipeline.inference.remote.metadata import Described
from pipeline.inference.remote.model import RemoteModel
from pipeline.inference.remote.outputs import Output


def node_source(
    config: InferenceConfig, name: str, known: Described | None = None, address: str | None = None
) -> RemoteSource:
    """Return a model of nodes of `dragoman serve-models`.

    Args:
        config: its `address`, `tls` and `queue`.
        name: of the tier, or of one of `models`.
        known: the model as this process knows it, if it does: a node must have the same.
        address: of the one node, in place of the config's.
    """
    return RemoteSource(
        config.address if address is None else [address],
        RemoteModel(name),
        tls=config.tls,
        known=known,
        queue=config.queue,
    )


def foreign_source(config: InferenceConfig, name: str) -> RemoteSource:
    """Return a model of other servers, one of `remote`."""
    settings = config.remote[name]
    return RemoteSource(
        settings.address, foreign_model(name, settings), tls=settings.tls, queue=config.queue
    )


def foreign_model(name: str, settings: RemoteModelConfig) -> RemoteModel:
    """Return how a model of another server is asked."""
    outputs = tuple(_output(signal, its) for signal, its in settings.signals.items())
    return RemoteModel(settings.model or name, settings.version, settings.input, outputs)


def _output(name: str, settings: RemoteSignalConfig) -> Output:
    head = Head(
        name,
        settings.kind,
        tuple(settings.labels),
        abstain_below=settings.abstain_below,
        threshold=settings.threshold,
    )
    return Output(head, settings.output, settings.column, settings.activation)

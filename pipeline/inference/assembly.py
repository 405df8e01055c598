"""From the `inference` section to engines: models here, on nodes, and on other servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.config.inference import InferenceConfig
from pipeline.inference import contract
from pipeline.inference.batcher import Batcher
from pipeline.inference.engine import Engine
from pipeline.inference.engines import Engines
from pipeline.inference.loading import extra_model, tier_model
from pipeline.inference.manifest import ModelFolder
from pipeline.inference.remote.configured import foreign_source, node_source
from pipeline.inference.remote.metadata import Described


def make_engines(config: InferenceConfig, folder: Path, node: str | None = None) -> Engines:
    """Return the engines of a config, not started.

    Args:
        config: says which models, and where they are.
        folder: that relative paths start from.
        node: address of a process of this machine that has the models; as the config says where
            they are if absent.

    Raises:
        InvalidModel: a model cannot be loaded as configured.
    """
    sources: dict[str, contract.Source] = {}
    if config.address or node is not None:
        tier = ModelFolder.of_tier(config.tier)
        known = Described(tier.identity, tier.heads)
        sources[config.tier] = node_source(config, config.tier, known, node)
        sources |= {name: node_source(config, name, address=node) for name in config.models}
    else:
        sources[config.tier] = _batcher(tier_model(config), config)
        for name, extra in config.models.items():
            sources[name] = _batcher(extra_model(name, extra, config, folder), config)
    sources |= {name: foreign_source(config, name) for name in config.remote}
    return Engines(
        {
            name: Engine(source, max_bytes=config.memory, timeout_s=config.timeout)
            for name, source in sources.items()
        }
    )


def make_own_engines(config: InferenceConfig, folder: Path) -> Engines:
    """Return the engines of what a node serves: models that it has itself; see `make_engines`."""
    return make_engines(config.model_copy(update={"address": [], "remote": {}}), folder)


def _batcher(make: Callable[[], contract.Model], config: InferenceConfig) -> Batcher:
    return Batcher(make, batch_tokens=config.batch_tokens, queue=config.queue)

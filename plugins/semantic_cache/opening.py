"""Opening: the cache that an instance's options describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from plugins.semantic_cache import metrics
from plugins.semantic_cache.cache import Cache, SharedIndex
from plugins.semantic_cache.config import SemanticCacheConfig, StoreConfig
from plugins.semantic_cache.recalibration import Recalibrated, read_calibration
from plugins.semantic_cache.stores import StoreOptions, make_store
from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying import load_verifier


def open_cache(config: SemanticCacheConfig, name: str, now: Callable[[], float]) -> Cache:
    """Make the cache of an instance; nothing is connected to before its `open`.

    Args:
        config: the instance's options.
        name: of the instance.
        now: seconds since the epoch.

    Raises:
        ValueError: the store's address or the calibration file is none.
    """
    store = make_store(config.store.get_secret_value(), _options(name, config.store_options))
    path = config.semantic.calibration
    own = read_calibration(Path(path)) if path is not None else None

    def verifier_of(fingerprint: str) -> Verifier | None:
        verifier = load_verifier(fingerprint)
        if verifier is None or own is None or own.embedder != fingerprint:
            return verifier
        return Recalibrated(verifier, own.thresholds)

    return Cache(name, config, store, verifier_of, _index_of(config), now)


def _index_of(config: SemanticCacheConfig) -> Callable[[str, int], SharedIndex] | None:
    if config.index is None:
        return None
    from plugins.semantic_cache.stores.milvus import MilvusIndex  # noqa: PLC0415 - an extra

    url = config.index.get_secret_value()
    options = StoreOptions(
        namespace=config.store_options.namespace,
        get_timeout_s=config.store_options.get_timeout,
        write_timeout_s=config.store_options.write_timeout,
    )
    return lambda embedder, dimension: MilvusIndex(
        url, dimension=dimension, embedder=embedder, options=options
    )


def _options(name: str, config: StoreConfig) -> StoreOptions:
    return StoreOptions(
        namespace=config.namespace,
        get_timeout_s=config.get_timeout,
        write_timeout_s=config.write_timeout,
        username=config.username,
        password=_secret(config.password),
        sentinel_password=_secret(config.sentinel_password),
        tls_ca=config.tls_ca,
        tls_cert=config.tls_cert,
        tls_key=config.tls_key,
        tls_check_hostname=config.tls_check_hostname,
        on_lost=lambda count: metrics.LOST.labels(name).inc(count),
        on_available=lambda is_up: metrics.STORE_UP.labels(name).set(is_up),
    )


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""

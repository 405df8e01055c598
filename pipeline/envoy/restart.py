"""Restart: what of a config an Envoy that runs cannot be told."""

from __future__ import annotations

from pipeline.config.schema import Config

# The listener's limit, and TLS in the cluster of the host: to take them anew Envoy would close
# clients' connections, or end the streams of exchanges. What else it cannot be told, the host
# cannot either, and it refuses such a config.
_STARTED = ("body_limit", "host_tls")


def effective(started: Config, new: Config) -> tuple[Config, list[str]]:
    """Return what an Envoy that was started with one config can run of another.

    Returns:
        the new config with the old values of what wants a restart, and the keys of these.
    """
    kept = {key: getattr(started.envoy, key) for key in _STARTED}
    stale = [f"envoy.{key}" for key, value in kept.items() if getattr(new.envoy, key) != value]
    return new.model_copy(update={"envoy": new.envoy.model_copy(update=kept)}), stale

"""What cannot change while the host runs: a reload that would change it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from pipeline.config.schema import Config
from pipeline.config.source import Key, Source
from pipeline.errors import Problem

# Sockets, processes and models that stand; loggers, exporters and files that are open; and of
# Envoy what it reads when it starts.
_FIXED: tuple[Key, ...] = (
    ("server", "address"),
    ("server", "admin"),
    ("server", "workers"),
    ("server", "reload"),
    ("server", "tls"),
    ("telemetry",),
    ("inference",),
    ("envoy", "admin"),
    ("envoy", "listen"),
    ("envoy", "concurrency"),
)


def fixed_problems(running: Config, wanted: Config, source: Source) -> tuple[Problem, ...]:
    """Return a problem for every key that takes a restart to change.

    Args:
        running: the config that runs.
        wanted: the one to take its place.
        source: its document.
    """
    keys = [
        key for fixed in _FIXED for key in _changed(_at(running, fixed), _at(wanted, fixed), fixed)
    ]
    if _largest_message(running) != _largest_message(wanted):
        before, now = running.limits.request_body, wanted.limits.request_body
        keys.append(("limits", "request_body") if before != now else ("envoy", "body_limit"))
    if (running.server.admin_token is None) is not (wanted.server.admin_token is None):
        keys.append(("server", "admin_token"))
    return tuple(source.problem(key, "a restart is needed to change this") for key in keys)


def _at(config: Config, key: Key) -> Any:
    value: Any = config
    for name in key:
        value = getattr(value, str(name))
    return value


def _changed(before: Any, now: Any, key: Key) -> Iterator[Key]:
    if isinstance(before, BaseModel) and isinstance(now, BaseModel):
        for name in type(now).model_fields:
            yield from _changed(getattr(before, name), getattr(now, name), (*key, name))
    elif before != now:
        yield key


def _largest_message(config: Config) -> int:
    """Return what bounds the messages that the gRPC server takes."""
    return max(config.limits.request_body, config.envoy.body_limit)

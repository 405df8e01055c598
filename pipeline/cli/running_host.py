"""The host that runs, as its admin server tells of it, beside the config at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import aiohttp

from pipeline.config.identity import content_hash
from pipeline.errors import ConfigError, Problem
from pipeline.host.lint import Lint, Severity
from pipeline.host.runtime import Runtime

# A host that runs is near: one that is not there must not make `check` wait.
_PATIENCE_S = 2.0


def compare(runtime: Runtime, admin: str | None) -> list[Lint]:
    """Return what the running host has of the config.

    Args:
        runtime: the compiled config.
        admin: address or URL of the host's admin server; the config's if None, where it need not
            run.

    Raises:
        ConfigError: a host was named, and none answers there.
    """
    where = admin or runtime.config.server.admin
    found = asyncio.run(_ask(where))
    if found is None:
        if admin is not None:
            raise ConfigError(Problem("", f"no host answers at {where}"))
        return []
    return list(_findings(runtime, where, found))


async def _ask(where: str) -> Mapping[str, Any] | None:
    url = where if "://" in where else f"http://{where}"
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/health/ready", allow_redirects=False) as answer,
        ):
            found = await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    # Anybody may listen there.
    is_host = isinstance(found, dict) and isinstance(found.get("config"), dict)
    return found if is_host and "generation" in found["config"] else None


def _findings(runtime: Runtime, where: str, found: Mapping[str, Any]) -> Iterator[Lint]:
    config = found["config"]
    generation, running_hash = config["generation"], config.get("hash", "")
    runs = f"the host at {where} runs generation {generation}, hash {running_hash}"
    here = content_hash(runtime.source)
    if here == running_hash:
        loaded = config.get("loaded_at", "")
        yield _finding("running-host", "info", f"{runs}: this config, since {loaded}")
    else:
        changes = [
            *_changed("route", found.get("routes", ()), runtime.routes),
            *_changed("plugin", found.get("plugins", ()), runtime.instances),
        ]
        what = ", ".join(changes) or "the same routes and plugins, changed inside or around them"
        message = f"{runs}; this config, hash {here}, would be generation {generation + 1}: {what}"
        yield _finding("running-host", "info", message)
    error = config.get("last_error")
    if error:
        problems = "; ".join(map(str, error.get("problems", ())))
        message = f"the host at {where} refused its last reload, at {error.get('at')}: {problems}"
        yield _finding("reload-refused", "warning", message)


def _finding(rule: str, severity: Severity, message: str) -> Lint:
    return Lint(rule, severity, Problem("", message), ())


def _changed(kind: str, before: Iterable[str], now: Iterable[str]) -> Iterator[str]:
    old, new = set(before), set(now)
    yield from (f"new {kind} {name}" for name in sorted(new - old))
    yield from (f"no {kind} {name}" for name in sorted(old - new))

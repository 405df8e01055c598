"""Choosing the route of a request with the config's own matcher."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.api.exchange import Request
from pipeline.config.schema import MatchConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a route matches; the model apart, because it is in the body.

    Args:
        outside: says whether path, host and headers match.
        model: says whether a model matches, or None when any does.
    """

    outside: Callable[[Request], bool]
    model: Callable[[str], bool] | None


def compile_matcher(match: MatchConfig) -> Matcher:
    """Compile a route's `match:` block."""
    path, prefix, headers = match.path, match.path_prefix, tuple(match.headers.items())
    host = match.host.lower() if match.host is not None else None

    def outside(request: Request) -> bool:
        return (
            (path is None or request.path == path)
            and (prefix is None or request.path.startswith(prefix))
            and (host is None or _host_matches(host, request.host))
            and all(request.headers.get(name) == value for name, value in headers)
        )

    return Matcher(outside, None if match.model is None else _globbed(match.model))


def first_match(candidates: Sequence[tuple[Matcher, T]], request: Request, model: str) -> T | None:
    """Return the first route that matches a request for a model, None when none does."""
    for matcher, route in candidates:
        if matcher.outside(request) and (matcher.model is None or matcher.model(model)):
            return route
    return None


def match_outside(
    candidates: Sequence[tuple[Matcher, T]], request: Request
) -> T | Undecided | None:
    """Return the first route that matches before the body is read.

    Returns:
        The route, None when none matches, or UNDECIDED when only the model can tell.
    """
    for matcher, route in candidates:
        if matcher.outside(request):
            return route if matcher.model is None else UNDECIDED
    return None


class Undecided:
    """The type of UNDECIDED."""


UNDECIDED = Undecided()


def _host_matches(wanted: str, host: str) -> bool:
    bare = re.sub(r":\d+\Z", "", host.lower())
    return bare.endswith(wanted[1:]) if wanted.startswith("*.") else bare == wanted


def _globbed(pattern: str) -> Callable[[str], bool]:
    head, *parts = map(re.escape, pattern.split("*"))
    if not parts:
        return lambda model: model == pattern
    # Each part where it first occurs, and never tried elsewhere: linear, whatever a client sends.
    between = "".join(f"(?>.*?{part})" for part in parts[:-1])
    regex = re.compile(f"{head}{between}.*{parts[-1]}", re.DOTALL)
    return lambda model: regex.fullmatch(model) is not None

"""How two `match:` blocks relate: one covers the other, or both match some request."""

from __future__ import annotations

from pipeline.config.schema import MatchConfig


def covers(first: MatchConfig, second: MatchConfig) -> bool:
    """Say whether all that `second` matches, `first` matches too; False where that is unclear."""
    return covers_outside(first, second) and _model_covers(first.model, second.model)


def covers_outside(first: MatchConfig, second: MatchConfig) -> bool:
    """Say whether all that `second` matches, `first` matches too, models aside."""
    return (
        _path_covers(first, second)
        and _host_covers(first.host, second.host)
        and first.headers.items() <= second.headers.items()
    )


def overlaps(first: MatchConfig, second: MatchConfig) -> bool:
    """Say whether one request may match both, models aside."""
    return (
        (_path_covers(first, second) or _path_covers(second, first))
        and (_host_covers(first.host, second.host) or _host_covers(second.host, first.host))
        and all(second.headers.get(name, value) == value for name, value in first.headers.items())
    )


def _path_covers(first: MatchConfig, second: MatchConfig) -> bool:
    if first.path is not None:
        return first.path == second.path
    return (second.path or second.path_prefix or "/").startswith(first.path_prefix or "/")


def _host_covers(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is None
    first, second = first.lower(), second.lower()
    return second.endswith(first[1:]) if first.startswith("*.") else first == second


def _model_covers(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is None
    if first == second or not first.strip("*"):
        return True
    head, star, tail = first.partition("*")
    # Only `prefix*` is compared: what several `*` have in common is nobody's typo.
    return bool(star) and not tail and second.startswith(head)

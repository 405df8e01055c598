"""Types of options: durations and sizes with their units, and secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(ms|s|m|h|d)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 10 * 365 * 86400.0
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(B|KB|MB|GB|KiB|MiB|GiB)\Z")
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_FILE = "file:"

SOURCE = "source"
"""The key of the validation context that has what resolves paths: the config's document."""


class Beside(Protocol):
    """What knows where relative paths start from."""

    def beside(self, name: str) -> Path:
        """Return the path that is meant by one."""


def parse_duration_s(value: Any) -> float:
    """Read `250ms`, `1.5s`, `5m`, `1h` or `1d` as seconds.

    Raises:
        ValueError: no such form.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration has a number and a unit: 250ms, 1.5s, 5m, 1h or 1d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise ValueError("a duration is at most ten years")
    return seconds


def parse_size_bytes(value: Any) -> int:
    """Read `512KiB`, `8MiB` or `100B` as bytes.

    Raises:
        ValueError: no such form.
    """
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a size has a number and a unit: 100B, 512KiB, 8MiB, 1GB")
    return int(float(match[1]) * _BYTES[match[2]])


def read_secret(value: Any, source: Beside | None) -> Any:
    """Return a secret's text: of the file that `file:/path` names, else the value itself.

    Args:
        value: as the config has it.
        source: the config, whose folder a relative path starts from; the folder we are in if None.

    Raises:
        ValueError: the file cannot be read, or is empty.
    """
    if isinstance(value, str) and value.startswith(_FILE):
        name = value.removeprefix(_FILE)
        path = source.beside(name) if source is not None else Path(name)
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise ValueError(f"cannot read the secret file {path}: {reason}") from error
        if not secret:
            # Without a key a backend would be sent the client's own.
            raise ValueError(f"the secret file {path} is empty")
        return secret
    return value


def _secret(value: Any, info: ValidationInfo) -> Any:
    return read_secret(value, (info.context or {}).get(SOURCE))


Duration = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern.replace(r"\Z", "$")}),
]
"""Seconds; written with a unit."""

Size = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    WithJsonSchema({"type": "string", "pattern": _SIZE.pattern.replace(r"\Z", "$")}),
]
"""Bytes; written with a unit."""

Secret = Annotated[SecretStr, BeforeValidator(_secret)]
"""Text that no repr, log or dump shows; `file:path` reads it from a file."""

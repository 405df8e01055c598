"""What a decision changed, as people read it: texts line by line, headers by name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.api.answer import Answer
from pipeline.api.call import Call
from pipeline.api.headers import HeaderEdits
from pipeline.api.text import Segment
from pipeline.host.tenancy import CREDENTIAL_HEADERS

MASK = "•••"
_SECRET_WORDS = ("auth", "cookie", "key", "secret", "token", "signature", "credential")


def diff_documents(before: Call | Answer, after: Call | Answer) -> list[str]:
    """Return a unified diff of two calls or answers: their texts, then all else."""
    texts = diff_lines(_text_lines(before.segments), _text_lines(after.segments))
    rest = diff_lines(_rest_lines(before), _rest_lines(after))
    if not (texts or rest) and before.document != after.document:
        return diff_lines(_pretty(before.document), _pretty(after.document))
    return texts + rest


def diff_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return a unified diff without its file names."""
    return list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]


class Mask:
    """Hides credentials in header values.

    Args:
        secrets: values that must never show, wherever they stand.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: one may be a part of another.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def value(self, name: str, value: str) -> str:
        """Return a header's value as it may be shown."""
        if name in CREDENTIAL_HEADERS or any(word in name for word in _SECRET_WORDS):
            return MASK
        for secret in self._secrets:
            value = value.replace(secret, MASK)
        return value

    def edits(self, edits: HeaderEdits) -> dict[str, str | None]:
        """Return header edits as name to new value, None for a removal."""
        shown: dict[str, str | None] = dict.fromkeys(sorted(edits.remove))
        return shown | {name: self.value(name, value) for name, value in edits.set.items()}


def _text_lines(segments: Iterable[Segment]) -> list[str]:
    lines: list[str] = []
    for segment in segments:
        lines.append(f"[{segment.role}]" if segment.kind == "text" else _label(segment))
        lines += (segment.text or "").splitlines()
    return lines


def _label(segment: Segment) -> str:
    return f"[{segment.role}, {segment.kind.replace('_', ' ')}]"


def _rest_lines(value: Call | Answer) -> list[str]:
    if isinstance(value, Answer):
        return [f"finish_reason: {value.finish_reason}"]
    fields: Mapping[str, Any] = {"model": value.model, "stream": value.stream, **value.params}
    return [f"{name}: {json.dumps(field, ensure_ascii=False)}" for name, field in fields.items()]


def _pretty(document: Mapping[str, Any]) -> list[str]:
    return json.dumps(dict(document), indent=2, ensure_ascii=False).splitlines()

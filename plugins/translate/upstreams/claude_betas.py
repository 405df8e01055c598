"""Beta features of Anthropic's API at the other hosts of Claude, which refuse unknown ones.

Clients name features by a word and a date; SDKs and agents name some that the call does not need.
What a host is not known to take is therefore left out and reported. The config's own are sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from plugins.translate.canonical import Loss
from plugins.translate.client_headers import beta_features

_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}\Z")
_ON_ALL = frozenset(
    {
        "compact",
        "computer-use",
        "context-1m",
        "context-management",
        "dangerous-tool-use",
        "interleaved-thinking",
        "thinking-binding-controls",
        "thinking-display-updates",
        "tool-search-tool",
    }
)
ON_BEDROCK = _ON_ALL | {
    "dev-full-thinking",
    "effort",
    "fine-grained-tool-streaming",
    "mid-conversation-output-config",
    "mid-conversation-tool-changes",
    "output-128k",
    "token-efficient-tools-2025-02-19",
    "tool-examples",
}
ON_VERTEX = _ON_ALL | {"per-turn-control", "web-search"}
# Who calls, or what the hosts do without being asked.
_SAYS_NOTHING = frozenset(
    {
        "adaptive-thinking",
        "claude-code",
        "extended-cache-ttl",
        "oauth",
        "pdfs",
        "prompt-caching",
        "prompt-caching-scope",
        "token-counting",
    }
)
_ELSEWHERE = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}


def taken_betas(
    configured: Iterable[str], asked: Any, known: frozenset[str], loss: Loss
) -> list[str]:
    """Return the features that a host is sent.

    Args:
        configured: the backend's own.
        asked: those of a client.
        known: names of what the host takes, with a date or without.
        loss: takes `anthropic_beta` where one is left out that means something.
    """
    own = beta_features(tuple(configured))
    taken = []
    for name in beta_features(asked):
        there = _ELSEWHERE.get(name, name)
        family = _DATE.sub("", there)
        if there in known or family in known or name in own:
            taken.append(there)
        elif family not in _SAYS_NOTHING:
            loss.add("anthropic_beta")
    return beta_features(own, taken)

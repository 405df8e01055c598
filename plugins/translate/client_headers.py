"""Headers of clients' own APIs: what of them is part of the call, and what is nobody else's."""

from __future__ import annotations

from typing import Any

from pipeline.api import Headers

BETA_HEADER = "anthropic-beta"
"""Names the beta features of Anthropic's API that a call asks for, with commas between them."""

VERSION_HEADER = "anthropic-version"

# Which API, which account of it, and with which of its SDKs.
_OWN = ("anthropic-", "openai-", "x-stainless-")


def of_clients_api(headers: Headers) -> frozenset[str]:
    """Return the names of the headers that only the provider of the client's own API knows."""
    return frozenset(name for name in headers if name.startswith(_OWN))


def asked_betas(headers: Headers) -> list[str]:
    """Return the beta features that a client's headers ask for."""
    return beta_features(*(value.split(",") for value in headers.get_all(BETA_HEADER)))


def beta_features(*lists: Any) -> list[str]:
    """Return the features of all lists, each once, in order; what is no list has none."""
    found: dict[str, None] = {}
    for given in lists:
        for one in given if isinstance(given, (list, tuple)) else ():
            if isinstance(one, str) and (name := one.strip()):
                found[name] = None
    return list(found)

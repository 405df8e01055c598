"""Which tenants a rolled-out instance is enforced for: a share, and always the same ones."""

from __future__ import annotations

from hashlib import blake2b


def share_of_mode(mode: str) -> int:
    """Return the percentage of tenants for which a `mode:` enforces."""
    if mode == "enforce":
        return 100
    return 0 if mode == "shadow" else int(mode.removesuffix("%"))


def is_enforced(share_percent: int, instance: str, who: str) -> bool:
    """Say whether an instance's decisions count for a tenant.

    Raising the share only ever adds tenants, and each instance draws its own.

    Args:
        share_percent: 0 to 100.
        instance: the instance's name.
        who: the tenant, or the exchange's id where the tenant is unknown.
    """
    if share_percent in {0, 100}:
        return share_percent == 100
    digest = blake2b(f"{instance}\0{who}".encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(digest.digest()) % 100 < share_percent

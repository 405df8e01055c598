"""Who an exchange belongs to: a trusted header's value, or a hash of the client's credential."""

from __future__ import annotations

from hashlib import sha256

from pipeline.config.schema import TenantConfig
from pipeline.host.verdicts import Pairs

# Where the client APIs that we speak carry a credential.
CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "api-key"})
_MAX_CHARACTERS = 256


def tenant_of(config: TenantConfig, pairs: Pairs) -> str | None:
    """Return the tenant, or None where nothing names one.

    A credential is hashed (SHA-256, first 64 bits): the tenant is no secret, the key is.
    """
    if config.header is not None:
        for name, value in pairs:
            if name == config.header and value:
                return value.decode("utf-8", "replace")[:_MAX_CHARACTERS]
    if config.credential:
        for name, value in pairs:
            if name in CREDENTIAL_HEADERS and value:
                return f"key-{sha256(value).hexdigest()[:16]}"
    return None

"""TLS in the config: of the host's server, and of Envoy towards the host and the backends."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pipeline.config.section import Section


class ServerTlsConfig(Section):
    """TLS of the ext_proc server; files that change are read again."""

    cert: str = Field(description="File of the certificate and its chain, PEM.")
    key: str = Field(description="File of its private key, PEM.")
    client_ca: str | None = Field(
        None,
        description="File of the authorities that sign Envoy's certificate, PEM; with it a client "
        "without one is refused.",
    )


class _ClientTlsConfig(Section):
    ca: str | None = Field(
        None,
        description="File of the authorities that sign the server's certificate, PEM; the "
        "system's if absent.",
    )
    cert: str | None = Field(None, description="File of Envoy's own certificate, PEM.")
    key: str | None = Field(None, description="File of its private key, PEM.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            raise ValueError("give `cert` and `key` together")
        return self


class HostTlsConfig(_ClientTlsConfig):
    """How Envoy speaks TLS to the host."""

    name: str | None = Field(
        None,
        description="Name or IP address that the host's certificate must have; the host of "
        "`server.address` if absent.",
    )


class BackendTlsConfig(_ClientTlsConfig):
    """How Envoy speaks TLS to a backend."""

    sni: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
        description="Name that is asked for, and that the certificate must have; the URL's host "
        "if absent.",
    )

"""The plugin: it registers its providers, and the command that shows the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.api import Backend, Plugin, PluginConfig, Provider
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.formats import Client, ProviderSpec
from plugins.translate.upstreams import SPECS


class SpecProvider:
    """A provider made from its spec.

    Args:
        spec: the spec.
        clients: client adapters by dialect.
    """

    def __init__(self, spec: ProviderSpec, clients: Mapping[str, Client]) -> None:
        self.Options = spec.options
        self._spec = spec
        self._clients = clients

    def default_url(self, options: PluginConfig) -> str:
        """Return the base URL where the config names none."""
        return self._spec.default_url(options)

    def connect(self, backend: Backend) -> ProviderConnection:
        """Return the connection of a backend."""
        return ProviderConnection(backend, self._spec, self._clients)


class Translate(Plugin[PluginConfig]):
    """Any client API to any provider, signed, and its answer back."""

    def register_providers(self, register: Callable[[str, Provider], None]) -> None:
        """Register the providers that Dragoman brings along."""
        for spec in SPECS:
            register(spec.name, SpecProvider(spec, CLIENTS))

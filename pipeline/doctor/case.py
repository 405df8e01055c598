"""A case: what Envoy says, what the config says, and what a look at the host has shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.doctor.attached import (
    Attached,
    OnRoute,
    address_of,
    attached,
    attempts,
    endpoints,
    host_cluster_of,
)
from pipeline.doctor.dump import Dump
from pipeline.doctor.expected import Expected
from pipeline.doctor.values import Object, part


@dataclass(frozen=True)
class Case:
    """Everything that the rules look at.

    Args:
        dump: what Envoy runs.
        expected: the config's side; None without a config.
        named_cluster: the host's cluster, if the operator named it.
        faults: addresses of the host that were tried, to what was wrong with them; empty text
            for nothing.
    """

    dump: Dump
    expected: Expected | None = None
    named_cluster: str | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def cluster(self) -> str:
        """The name of the host's cluster."""
        return self.named_cluster or host_cluster_of(self.dump, self.expected)

    @property
    def host(self) -> Object | None:
        """The host's cluster; None if Envoy has none of that name."""
        return self.dump.clusters.get(self.cluster)

    @cached_property
    def attached(self) -> list[Attached]:
        """Our filter, wherever it is attached."""
        return list(attached(self.dump, self.expected, self.cluster))

    @cached_property
    def attempts(self) -> list[tuple[str, Object]]:
        """Our filters of the upstream level, each with its cluster's name."""
        return list(attempts(self.dump, self.cluster))

    @property
    def addresses(self) -> list[str]:
        """Where Envoy looks for the host."""
        listed = endpoints(self.host or {})
        statuses = self.dump.statuses.get(self.cluster, [])
        # Endpoints that are discovered stand only there.
        return listed or [address_of(part(one, "address")) for one in statuses]

    def on_routes(self) -> Iterator[tuple[Attached, OnRoute]]:
        """Yield what our filter does, route by route."""
        for one in self.attached:
            for route in one.routes:
                yield one, route

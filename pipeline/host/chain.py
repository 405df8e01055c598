"""A route's plugins compiled into flat lists of bound hooks, one list per phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.host.inference import asking
from pipeline.host.instances import Instance
from pipeline.host.invoke import Bound, bind

Group = tuple[Bound, ...]
"""Hooks that run side by side; almost always one."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The hooks of a route: request phases in list order, response phases reversed.

    Args:
        instances: the plugins in list order.
        request_headers, request, response_headers, response: the phases, as groups.
        stream: for streamed answers, reversed: `on_response_event` where the instance has it,
            else `on_response`.
        complete: `on_complete` hooks, reversed.
        asking: the plugins that say beforehand what signals they will ask for.
    """

    instances: tuple[Instance, ...]
    request_headers: tuple[Group, ...]
    request: tuple[Group, ...]
    response_headers: tuple[Group, ...]
    response: tuple[Group, ...]
    stream: tuple[Bound, ...]
    complete: tuple[Bound, ...]
    asking: tuple[Instance, ...]

    @property
    def reads_request(self) -> bool:
        """Whether the request's body is needed."""
        in_condition = any(i.when is not None and i.when.needs_body for i in self.instances)
        return bool(self.request) or in_condition or self.reads_response

    @property
    def reads_response(self) -> bool:
        """Whether the response's body is needed."""
        return bool(self.response or self.stream)

    @property
    def sees_responses(self) -> bool:
        """Whether any plugin looks at responses at all."""
        return self.reads_response or bool(self.response_headers)

    @property
    def may_reroute(self) -> bool:
        """Whether a plugin may rewrite what routes match on."""
        groups = (*self.request_headers, *self.request)
        return any(not bound.instance.plugin.read_only for group in groups for bound in group)

    @property
    def fails_open(self) -> bool:
        """Whether the route may go on without its plugins."""
        return not any(
            i.fails_closed and i.share_percent and any(h.startswith("on_") for h in i.hooks)
            for i in self.instances
        )

    @property
    def budget_s(self) -> float:
        """The longest that all hooks of one message may take together."""
        # Request headers and body may be decided on together: two phases, one message.
        both = _budget_s(self.request_headers) + _budget_s(self.request)
        rest = max(_budget_s(self.response_headers), _budget_s(self.response))
        stream = sum(b.instance.timeout_s for b in self.stream)
        return max(both, rest, stream)


def compile_chain(instances: Sequence[Instance]) -> Chain:
    """Compile a route's list of instances."""
    return Chain(
        instances=tuple(instances),
        request_headers=_groups(_bound(instances, "on_request_headers")),
        request=_groups(_bound(instances, "on_request")),
        response_headers=_groups(_bound(instances, "on_response_headers")[::-1]),
        response=_groups(_bound(instances, "on_response")[::-1]),
        stream=tuple(_stream(instances)[::-1]),
        complete=tuple(_bound(instances, "on_complete")[::-1]),
        asking=asking(instances),
    )


def _bound(instances: Sequence[Instance], hook: str) -> list[Bound]:
    return [bind(inst, index, hook) for index, inst in enumerate(instances) if inst.has(hook)]


def _stream(instances: Sequence[Instance]) -> list[Bound]:
    bound: list[Bound] = []
    for index, instance in enumerate(instances):
        for hook in ("on_response_event", "on_response"):
            if instance.has(hook):
                bound.append(bind(instance, index, hook))
                break
    return bound


def _groups(bound: Sequence[Bound]) -> tuple[Group, ...]:
    groups: list[Group] = []
    for read_only, run in groupby(bound, key=lambda b: b.instance.plugin.read_only):
        members = tuple(run)
        groups += [members] if read_only else [(one,) for one in members]
    return tuple(groups)


def _budget_s(groups: Sequence[Group]) -> float:
    return sum(max(b.instance.timeout_s for b in group) for group in groups)


NO_PLUGINS = compile_chain(())
"""The chain of an exchange that goes on without its route's plugins."""

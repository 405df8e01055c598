"""The policies of every instance, enforced in one place for one exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from pipeline.api.decisions import CONTINUE, Continue, Decision, Refuse, Reply
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.errors import PluginError, PluginNonsense, PluginTimeout
from pipeline.host.chain import Group
from pipeline.host.instances import Instance
from pipeline.host.invoke import Bound, awaited, checked, failure
from pipeline.host.ledger import EVENT_HOOK, HELD_S, Ledger
from pipeline.host.rollout import is_enforced

Apply = Callable[[Decision], Refuse | Reply | None]


class Watcher(Protocol):
    """Sees decisions as they are made; `explain` is one."""

    def decided(
        self, exchange: Exchange, given: tuple[Any, ...], bound: Bound, decision: Decision
    ) -> None:
        """See a decision before it is applied, the exchange as it was, and a hook's other input."""


class Policy:
    """Runs hooks for one exchange: `when`, `mode`, `timeout` and `on_error` are here and only here.

    Args:
        exchange: the exchange; every hook's first argument.
        ledger: where steps are noted.
        pool: for blocking hooks.
        watcher: sees every decision.
    """

    __slots__ = ("_active", "_enforced", "exchange", "ledger", "pool", "watcher")

    def __init__(
        self, exchange: Exchange, ledger: Ledger, pool: Executor, watcher: Watcher | None
    ) -> None:
        self.exchange = exchange
        self.ledger = ledger
        self.pool = pool
        self.watcher = watcher
        self._active: dict[str, bool] = {}
        self._enforced: dict[str, bool] = {}

    def is_active(self, instance: Instance) -> bool:
        """Say whether the instance's `when` holds; decided once per exchange.

        A condition that fails to evaluate (a header that is absent) counts as true for an
        instance that fails closed and as false for one that fails open.
        """
        if instance.when is None:
            return True
        active = self._active.get(instance.name)
        if active is None:
            try:
                active = instance.when.holds(self.exchange)
            except LookupError:
                active = instance.fails_closed
            self._active[instance.name] = active
        return active

    def is_enforced(self, instance: Instance) -> bool:
        """Say whether the instance's decisions are applied."""
        if instance.share_percent == 100:
            return True
        enforced = self._enforced.get(instance.name)
        if enforced is None:
            who = self.exchange.tenant or self.exchange.id
            enforced = is_enforced(instance.share_percent, instance.name, who)
            self._enforced[instance.name] = enforced
        return enforced

    def decide_now(self, bound: Bound, *arguments: Any) -> Decision:
        """Run a plain hook; see `decide`."""
        started_s = self.ledger.clock()
        try:
            result = bound.call(self.exchange, *arguments)
        except BaseException as error:  # noqa: BLE001 - a stranger's code; see `failure`
            return self.failed(bound, failure(bound, error), started_s)
        if (
            result is None
            and bound.hook == EVENT_HOOK
            and bound.instance.share_percent == 100
            and self.watcher is None
        ):
            # What becomes of nearly every event.
            self.ledger.note_continue(bound.instance.name, started_s)
            return CONTINUE
        return self._settled(bound, arguments, result, started_s)

    async def decide(self, bound: Bound, *arguments: Any) -> Decision:
        """Run one hook and return the decision to apply: CONTINUE in shadow or when let through."""
        if bound.is_plain:
            return self.decide_now(bound, *arguments)
        started_s = self.ledger.clock()
        try:
            budget_s = self.exchange.deadline_s - started_s
            result = await awaited(bound, (self.exchange, *arguments), budget_s, self.pool)
        except BaseException as error:  # noqa: BLE001 - a stranger's code; see `failure`
            return self.failed(bound, failure(bound, error), started_s)
        return self._settled(bound, arguments, result, started_s)

    def _settled(
        self, bound: Bound, arguments: tuple[Any, ...], result: object, started_s: float
    ) -> Decision:
        instance = bound.instance
        applied = self.is_enforced(instance)
        if result is None:
            decision: Decision = CONTINUE
        else:
            try:
                decision = checked(bound, result)
            except PluginError as error:
                return self.failed(bound, error, started_s)
        took_s = self.ledger.note(instance.name, bound.hook, decision, started_s, applied=applied)
        if took_s > HELD_S and bound.is_plain:
            self.ledger.note_held(instance.name, bound.hook, took_s)
        if self.watcher is not None:
            self.watcher.decided(self.exchange, arguments, bound, decision)
        return decision if applied else CONTINUE

    async def look_back(self, bound: Bound, outcome: Outcome) -> None:
        """Run an `on_complete`; a failure is noted and changes nothing."""
        started_s = self.ledger.clock()
        arguments = (self.exchange, outcome)
        try:
            if bound.is_plain:
                bound.call(*arguments)
                took_s = self.ledger.clock() - started_s
                if took_s > HELD_S:
                    self.ledger.note_held(bound.instance.name, bound.hook, took_s)
            else:
                await awaited(bound, arguments, bound.instance.timeout_s, self.pool)
        except BaseException as error:  # noqa: BLE001 - a stranger's code; see `failure`
            self.failed(bound, failure(bound, error), started_s)

    def failed(self, bound: Bound, error: PluginError, started_s: float) -> Decision:
        """Note a failure and return what the instance's `on_error` makes of it."""
        instance = bound.instance
        refuses = instance.fails_closed and self.is_enforced(instance)
        kind = _kind(error)
        took_s = self.ledger.note_error(instance.name, bound.hook, kind, started_s, applied=refuses)
        if took_s > HELD_S and bound.is_plain:
            self.ledger.note_held(instance.name, bound.hook, took_s)
        if not refuses:
            return CONTINUE
        message = f"the plugin {instance.name!r} could not decide, and this route requires it to"
        return Refuse(503, kind, message)

    async def run(
        self, groups: Sequence[Group], apply: Apply, before: int | None = None
    ) -> tuple[Refuse | Reply, Bound] | None:
        """Run a phase: each group in turn, its decisions applied in order.

        Args:
            groups: the phase.
            apply: applies a decision that is not Continue; returns what ends the chain.
            before: only instances whose place in the route's list is lower; all if None.

        Returns:
            What ended the chain, and whose decision it was; None when nothing did.
        """
        for group in groups:
            hooks = [
                bound
                for bound in group
                if (before is None or bound.index < before) and self.is_active(bound.instance)
            ]
            if len(hooks) > 1 and not all(bound.is_plain for bound in hooks):
                ended = await self._side_by_side(hooks, apply)
                if ended is not None:
                    return ended
                continue
            for bound in hooks:
                decision = self.decide_now(bound) if bound.is_plain else await self.decide(bound)
                if not isinstance(decision, Continue):
                    end = apply(decision)
                    if end is not None:
                        return end, bound
        return None

    async def _side_by_side(
        self, hooks: Sequence[Bound], apply: Apply
    ) -> tuple[Refuse | Reply, Bound] | None:
        tasks = [asyncio.ensure_future(self.decide(bound)) for bound in hooks]
        try:
            # List order decides who ends the chain, not who is fastest.
            for bound, task in zip(hooks, tasks, strict=True):
                decision = await task
                if not isinstance(decision, Continue):
                    end = apply(decision)
                    if end is not None:
                        return end, bound
            return None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _kind(error: PluginError) -> str:
    if isinstance(error, PluginTimeout):
        return "plugin_timeout"
    return "plugin_nonsense" if isinstance(error, PluginNonsense) else "plugin_error"

"""Calling one hook: within its budget, with every failure turned into a PluginError."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from pipeline.api.answer import Answer, Event
from pipeline.api.call import Call
from pipeline.api.decisions import Continue, Decision, Refuse, Reply, Rewrite
from pipeline.api.headers import HeaderEdits
from pipeline.errors import PluginError, PluginNonsense, PluginTimeout
from pipeline.host.instances import Instance

# What a Rewrite may change, and which other decisions make sense, by hook.
_REWRITES: dict[str, frozenset[str]] = {
    "on_request_headers": frozenset({"headers"}),
    "on_request": frozenset({"headers", "call"}),
    "on_response_headers": frozenset({"headers"}),
    "on_response_event": frozenset({"events", "end"}),
    "on_response": frozenset({"headers", "answer"}),
}
_FRAMING = frozenset(
    {"content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"}
)
_PSEUDO = {
    ":path": re.compile(r"/[\x21-\x7e\x80-\U0010ffff]*"),
    ":method": re.compile(r"[A-Z]+"),
    ":authority": re.compile(r"[\x21-\x7e]+"),
    ":status": re.compile(r"[2-5][0-9]{2}"),
}
"""What the pseudo-headers may say; Envoy passes on whatever they say, in the request line too."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_REPLIES = frozenset({"on_request_headers", "on_request"})


@dataclass(frozen=True, slots=True)
class Bound:
    """One hook of one instance, ready to be called: no lookup by name is left.

    Args:
        instance: the instance.
        index: its place in the route's list.
        hook: the hook's name.
        call: the bound method.
        is_async: whether calling it gives a coroutine.
        is_plain: whether it is called on the event loop and returns its decision at once.
    """

    instance: Instance
    index: int
    hook: str
    call: Callable[..., Any]
    is_async: bool
    is_plain: bool


def bind(instance: Instance, index: int, hook: str) -> Bound:
    """Bind a hook that the instance has."""
    call = instance.hooks[hook]
    is_async = inspect.iscoroutinefunction(inspect.unwrap(call))
    is_plain = not (is_async or instance.plugin.blocking)
    return Bound(instance, index, hook, call, is_async, is_plain)


async def awaited(
    bound: Bound, arguments: tuple[Any, ...], budget_s: float, pool: Executor
) -> object:
    """Call a hook that takes time and return what it returns.

    Args:
        bound: the hook, not a plain one.
        arguments: exactly those of its specification.
        budget_s: what is left of the message's budget.
        pool: where blocking hooks run.

    Raises:
        TimeoutError: its instance's timeout or the budget is over.
    """
    async with asyncio.timeout(min(bound.instance.timeout_s, budget_s)):
        if bound.is_async:
            return await bound.call(*arguments)
        return await asyncio.get_running_loop().run_in_executor(pool, bound.call, *arguments)


def failure(bound: Bound, error: BaseException) -> PluginError:
    """Return the failure of a hook that raised; its message has no content.

    The type alone is kept: the text of a stranger's exception may quote the prompt.

    Raises:
        CancelledError: the exchange itself was cancelled, which is no failure of the hook.
        GeneratorExit: the exchange's coroutine is being closed and may not go on.
    """
    if isinstance(error, GeneratorExit) and bound.is_async:
        raise error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise error
    if isinstance(error, PluginError):
        return error
    if isinstance(error, TimeoutError):
        return PluginTimeout(bound.instance.name, bound.hook, "it took too long")
    return PluginError(bound.instance.name, bound.hook, f"it raised {type(error).__name__}")


def checked(bound: Bound, result: object) -> Decision:
    """Return what a hook returned if its phase allows it.

    Raises:
        PluginNonsense: it does not.
    """
    try:
        fault = _fault(bound, result)
    except Exception:  # noqa: BLE001 - a stranger's object may do anything when it is looked at
        fault = "it returned an object that cannot be looked at"
    if fault:
        raise PluginNonsense(bound.instance.name, bound.hook, fault)
    return result  # type: ignore[return-value]


def _fault(bound: Bound, result: object) -> str:
    if isinstance(result, (Continue, Rewrite, Reply, Refuse)) and not _is_text(result.reason):
        return "a reason must be a text"
    match result:
        case Continue():
            return ""
        case Refuse(status=status, code=code, message=message, headers=headers):
            legal = isinstance(status, int) and 400 <= status <= 599
            if not (legal and code and _is_text(code) and _is_text(message)):
                return "a Refuse needs a status of 400 to 599, a code and a message"
            return _headers_fault(headers)
        case Reply(answer=answer, headers=headers):
            if bound.hook not in _REPLIES:
                return "a Reply is for request phases"
            if not isinstance(answer, Answer):
                return "a Reply needs an Answer"
            return _headers_fault(headers) or _encoding_fault(answer)
        case Rewrite():
            return _rewrite_fault(bound, result)
        case _:
            if inspect.iscoroutine(result):
                result.close()
                return "it returned a coroutine: write `async def`"
            return f"it returned {type(result).__name__}, which is no decision"


def _rewrite_fault(bound: Bound, rewrite: Rewrite) -> str:
    if bound.instance.plugin.read_only:
        return "it declares itself read-only but returned a Rewrite"
    given = {
        name
        for name, is_given in (
            ("call", rewrite.call is not None),
            ("answer", rewrite.answer is not None),
            ("events", rewrite.events is not None),
            ("end", rewrite.end),
            ("headers", bool(rewrite.headers)),
        )
        if is_given
    }
    misplaced = given - _REWRITES[bound.hook]
    if misplaced:
        return f"a Rewrite here cannot change {', '.join(sorted(misplaced))}"
    sound = (
        (rewrite.call is None or isinstance(rewrite.call, Call))
        and (rewrite.answer is None or isinstance(rewrite.answer, Answer))
        # Not any iterable: one that can be read only once would be empty by now.
        and (rewrite.events is None or isinstance(rewrite.events, (list, tuple)))
        and all(
            isinstance(event, Event) and isinstance(event.raw, bytes)
            for event in rewrite.events or ()
        )
    )
    if not sound:
        return "a Rewrite holds something of the wrong type"
    fault = _headers_fault(rewrite.headers)
    if fault:
        return fault
    return _encoding_fault(rewrite.call or rewrite.answer)


def _headers_fault(headers: object) -> str:
    if not isinstance(headers, HeaderEdits):
        return "headers are changed with HeaderEdits"
    if not headers:
        return ""
    touched = headers.remove.union(headers.set)
    if not touched.isdisjoint(_FRAMING):
        return "it changed a header that says where the body ends"
    for name, form in _PSEUDO.items():
        if name in touched and not form.fullmatch(headers.set.get(name, "")):
            return f"it made a {name} that HTTP does not allow"
    return ""


def _is_text(value: object) -> bool:
    # A lone surrogate fits no JSON.
    return isinstance(value, str) and (not value or not _SURROGATE.search(value))


def _encoding_fault(made: Call | Answer | None) -> str:
    """Say what keeps a document from being written; what is written is kept for when it is sent."""
    try:
        if made is not None:
            _ = made.document  # of a JSON object alone
            if not isinstance(made.encode(), bytes):
                return "it made a document whose bytes are no bytes"
    except (TypeError, ValueError, RecursionError):
        return "it made a document that cannot be written as JSON"
    return ""

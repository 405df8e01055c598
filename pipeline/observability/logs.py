"""Structured logs: one line per event on stderr, never with content in it."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.observability.facts import label
from pipeline.observability.fields import field_labels

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

_LEVELS = logging.getLevelNamesMapping()
_ENDINGS = {"refused": logging.INFO, "failed": logging.WARNING}
_MAX_FRAMES = 8


def configure_logs(
    level: Level,
    format: Format,  # noqa: A002
    stream: TextIO | None = None,
    **facts: object,
) -> None:
    """Send every log line, those of libraries included, to one stream.

    Args:
        level: the least severe that is logged. Libraries are heard from `warning` on, whatever
            the level: some log whole requests when they debug.
        format: `json` for machines, `console` for people.
        stream: stderr if None.
        facts: of this process; every line has them.
    """
    out = stream if stream is not None else sys.stderr
    least = _LEVELS[level.upper()]
    render: Processor = structlog.processors.JSONRenderer()
    if format == "console":
        render = structlog.dev.ConsoleRenderer(colors=out.isatty(), repr_native_str=True)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_exception_text,
        lambda _, __, event: {**event, **facts},
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(least, logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Return a logger of the configuration that holds now."""
    logger: FilteringBoundLogger = structlog.get_logger().bind()
    return logger


def log_exchange(logger: FilteringBoundLogger, exchange: Exchange, outcome: Outcome) -> None:
    """Log how an exchange ended; almost free when the level is not logged."""
    steps = outcome.steps
    level = _ENDINGS.get(outcome.ending, logging.DEBUG)
    if level < logging.WARNING and any(step.decision == "error" for step in steps):
        level = logging.WARNING
    if not logger.is_enabled_for(level):
        return
    more: dict[str, Any] = {}
    if outcome.dropped:
        more["dropped"] = field_labels(outcome.dropped)
    if outcome.unread_tokens:
        more["unread_tokens"] = outcome.unread_tokens
    decisive = [step for step in steps if step.decision in {"refuse", "error"}]
    logger.log(
        level,
        "exchange",
        request_id=label(exchange.id),
        route=exchange.route,
        tenant=None if exchange.tenant is None else label(exchange.tenant),
        backend=exchange.backend,
        status=outcome.status,
        ending=outcome.ending,
        duration_ms=round(outcome.duration_s * 1000, 2),
        overhead_ms=round(outcome.overhead_s * 1000, 2),
        plugins=[f"{s.instance}.{s.hook}={_decision(s.decision, s.applied)}" for s in steps],
        codes=[f"{step.instance}: {label(step.reason)}" for step in decisive],
        **more,
    )


def log_loop_fault(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    """Log what went wrong in no one's hands, for `loop.set_exception_handler`.

    asyncio's own handler prints the task or callback, and with it the exception or its arguments.
    """
    what = "exception in a callback" if "handle" in context else context["message"]
    get_logger().error(what, exc_info=context.get("exception"))


def _decision(decision: str, applied: bool) -> str:
    return decision if applied else f"shadow-{decision}"


def _without_exception_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put types and places where an exception would be printed: its text may quote a prompt."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["raised"] = [
            f"{type(one).__module__}.{type(one).__qualname__}" for one in _causes(error)
        ]
        event["at"] = _places(error.__traceback__)
    return event


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__
    return chain


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-_MAX_FRAMES:]]

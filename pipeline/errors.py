"""The errors of Dragoman, one tree.

    DragomanError
    ├── ConfigError        the configuration cannot be used: where, and what to do
    ├── PluginError        a plugin broke its contract
    │   ├── PluginTimeout  it took longer than its budget
    │   └── PluginNonsense it returned what no hook may return
    ├── InferenceError     a signal of a model cannot be had
    ├── AdminError         the host that runs did not do what it was asked
    ├── InvalidCall        the client's request is no valid LLM call
    └── InvalidHeader      a header name or value that HTTP does not allow

No message ever carries a prompt, a key or a header's value.
"""

from __future__ import annotations

from dataclasses import dataclass


class DragomanError(Exception):
    """The root of everything that Dragoman raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a configuration: where it stands and what is wrong.

    Args:
        key: dotted path of the key, for instance `plugins.guard.timeout`.
        message: what is wrong and what to do about it.
        file: the file's path as given, or None for a configuration built in memory.
        line: 1-based line of the key in that file, or None when it has none.
    """

    key: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (where, self.key, self.message) if part)


class ConfigError(DragomanError):
    """Raised when a configuration cannot be used; carries every problem found, not just one."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class PluginError(DragomanError):
    """Raised when a plugin instance fails in a hook; its `on_error` policy decides what follows."""

    def __init__(self, instance: str, hook: str, message: str) -> None:
        super().__init__(f"plugin {instance!r} in {hook}: {message}")
        self.instance = instance
        self.hook = hook


class PluginTimeout(PluginError):
    """Raised when a hook took longer than its instance's `timeout`."""


class PluginNonsense(PluginError):
    """Raised when a hook returned something that is no decision for its phase."""


class InvalidCall(DragomanError):
    """Raised when a request body is no valid call of its API.

    Args:
        message: names the fault, never the content.
        code: stable, machine-readable: `invalid_json`, `duplicate_key`, …
        param: dotted path of the offending field, if one is to blame.
        status: the HTTP status to answer with.
    """

    def __init__(
        self, message: str, *, code: str, param: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.status = status


class InvalidHeader(DragomanError, ValueError):
    """Raised when a header edit would not be legal HTTP: one bad value costs the request a 500."""


class InferenceError(DragomanError):
    """Raised when a signal of a model cannot be had; `code` says why.

    Args:
        message: for people; holds nothing of the text.
        code: `queue_full`, `deadline`, `unavailable`, `model_failed` or `text_too_large`.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class AdminError(DragomanError):
    """Raised when the host that runs cannot be asked, or answers with an error.

    Args:
        message: for people.
        status: the HTTP status of its answer; 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

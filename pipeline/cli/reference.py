"""The reference pages, generated from the code, so that they cannot fall behind it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import ModuleType

from pipeline.api import decisions
from pipeline.api.hookspecs import Hooks
from pipeline.cli.reference_commands import cli_page
from pipeline.cli.reference_metrics import metrics_page
from pipeline.cli.reference_settings import config_page, plugins_page, providers_page
from pipeline.cli.tables import cell, table
from pipeline.host import names
from pipeline.host.codes import CODES
from pipeline.host.instances import HOOKS
from pipeline.host.names import REPORT_HEADERS

_NOTE = "<!-- Generated from the code by `make reference`: do not edit. -->"
_RESPONSE_HEADERS = {
    "x-dragoman-plugins": "Every plugin instance that ran, in order of entry, with its strongest "
    "decision: `guard=continue, cache=reply`. `shadow-` stands before one that was not applied.",
    "x-dragoman-overhead-ms": "Milliseconds spent in the host and its plugins so far.",
    "x-dragoman-dropped": "Fields of the call that the backend's provider could not carry, by "
    "name, 32 at most; only where there are such.",
    "server-timing": "Milliseconds spent in the host (`dragoman`) and in each plugin instance.",
}


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    written = {
        "config.md": ("Config", config_page()),
        "plugins.md": ("Built-in plugins", plugins_page()),
        "providers.md": ("Providers", providers_page()),
        "hooks.md": ("Hooks", _hooks()),
        "decisions.md": ("Decisions", _decisions()),
        "headers.md": ("Headers and metadata", _headers()),
        "metrics.md": ("Metrics", metrics_page()),
        "errors.md": ("Error codes", _errors()),
        "cli.md": ("Command line", cli_page()),
        "conformance.md": ("Conformance rules", _conformance()),
    }
    return {
        file: "\n".join([_NOTE, "", f"# {title}", "", *lines]).rstrip() + "\n"
        for file, (title, lines) in written.items()
    }


def _hooks() -> list[str]:
    intro = (
        "Write a method of that name, with those arguments or fewer, on a `Plugin` subclass; "
        "`def` or `async def`. Request hooks run in the order of the route's list, response hooks "
        "in reverse."
    )
    lines = [intro, ""]
    for name in HOOKS:
        hook = getattr(Hooks, name)
        signature = inspect.signature(hook)
        taken = list(signature.parameters.values())[1:]
        shown = signature.replace(parameters=taken)
        lines += [f"## `{name}`", "", "```python", f"{name}{_plain(shown)}", "```", ""]
        lines += [inspect.getdoc(hook) or "", ""]
    return lines


def _decisions() -> list[str]:
    lines = ["What a hook may return; `None` means `Continue()`. All are in `pipeline.api`.", ""]
    for kind in (decisions.Continue, decisions.Rewrite, decisions.Reply, decisions.Refuse):
        summary, fields = _docstring(inspect.getdoc(kind) or "")
        lines += [f"## `{kind.__name__}`", "", summary, ""]
        parameters = inspect.signature(kind).parameters
        rows = [(f"`{name}`", _default(parameters[name]), text) for name, text in fields]
        lines += [*table(("Field", "Default", "Meaning"), rows), ""]
    return lines


def _headers() -> list[str]:
    reported = [(f"`{name}`", _RESPONSE_HEADERS[name]) for name in REPORT_HEADERS.values()]
    constants = [
        (f"`{value}`", docs)
        for constant, docs in _constant_docs(names)
        if isinstance(value := getattr(names, constant), str)
    ]
    keys = [(f"`{key}`", f"Becomes `{header}`.") for key, header in REPORT_HEADERS.items()]
    return [
        "## Response headers",
        "",
        *table(("Header", "Meaning"), reported),
        "",
        "## Names that the host and Envoy's configuration agree on",
        "",
        *table(("Name", "Meaning"), constants),
        "",
        f"## Dynamic metadata in the namespace `{names.METADATA_NAMESPACE}`",
        "",
        *table(("Key", "Meaning"), keys),
    ]


def _errors() -> list[str]:
    rows = [(f"`{name}`", str(code.status), code.meaning) for name, code in CODES.items()]
    intro = (
        "The `code` of an error that Dragoman itself answers with, in the client's own API format. "
        "A plugin that refuses a call gives a code of its own."
    )
    return [intro, "", *table(("Code", "Status", "Meaning"), rows)]


def _conformance() -> list[str]:
    # Late: no other command needs the kit for tests.
    from pipeline.testing.conformance import RULES

    intro = (
        "What `pipeline.testing.conformance` checks of a plugin, one test for each rule. "
        "[How to run it](../how-to/test-a-plugin.md#the-conformance-suite)."
    )
    lines = [intro, ""]
    for rule in RULES:
        lines += [f"## `{rule.name}`", "", rule.sentence, "", rule.why, ""]
    return lines


def _plain(signature: inspect.Signature) -> str:
    # Annotations are text already; `str` would quote them.
    taken = ", ".join(f"{p.name}: {p.annotation}" for p in signature.parameters.values())
    return f"({taken}) -> {signature.return_annotation}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    default = parameter.default
    return cell(f"`{default!r}`") if isinstance(default, str | bool | None) else "none"


def _docstring(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a docstring into what stands before `Args:` and the arguments' descriptions."""
    summary, _, rest = text.partition("\nArgs:\n")
    fields: list[tuple[str, str]] = []
    for line in rest.splitlines():
        name, colon, description = line.strip().partition(": ")
        is_new = line.startswith("    ") and not line.startswith("     ")
        if is_new and colon:
            fields.append((name, description[:1].upper() + description[1:]))
        elif line.strip() and fields:
            before = fields[-1]
            fields[-1] = (before[0], f"{before[1]} {line.strip()}")
    return summary.strip(), fields


def _constant_docs(module: ModuleType) -> Iterable[tuple[str, str]]:
    """Return the strings that stand below a module's constants."""
    body: Sequence[ast.stmt] = ast.parse(inspect.getsource(module)).body
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(docs))),
            ):
                yield name, docs

"""The reference page of the command line."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from pipeline.cli.tables import table


def cli_page() -> list[str]:
    """Return the page's lines, one section per sub-command."""
    from pipeline.cli.main import app

    root = get_command(app)
    return [str(root.help), "", str(root.epilog), "", *_commands(root, "dragoman")]


def _commands(group: Any, prefix: str) -> list[str]:
    lines: list[str] = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        if hasattr(command, "commands"):
            lines += _commands(command, full)
            continue
        lines += [f"## `{full}`", "", command.help.strip(), ""]
        rows = [_parameter(parameter) for parameter in command.params]
        if rows:
            lines += [*table(("Option", "Default", "Meaning"), rows), ""]
    return lines


def _parameter(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
        name = f"{', '.join(parameter.opts)}{value}"
    default = "none"
    if parameter.required:
        default = "required"
    elif getattr(parameter, "is_flag", False):
        default = "off"
    elif parameter.default is not None:
        default = f"`{getattr(parameter.default, 'value', parameter.default)}`"
    variable = f" Environment: `{parameter.envvar}`." if parameter.envvar else ""
    return f"`{name}`", default, f"{parameter.help}{variable}"

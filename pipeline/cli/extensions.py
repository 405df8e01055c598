"""Sub-commands that plugins bring along: mounted when the config names the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from pipeline.cli.options import compiled, default_config
from pipeline.cli.output import reported
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.host.runtime import Runtime


class Commands(TyperGroup):
    """The built-in sub-commands, and those that the configured plugins register.

    A config is loaded only for a name that is not built in, and for the list in `--help`. It is
    the one of `DRAGOMAN_CONFIG`, or `dragoman.yaml`.
    """

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a sub-command, or None."""
        built_in = super().get_command(ctx, cmd_name)
        if built_in is not None or not default_config().exists():
            return built_in
        with reported(), compiled(default_config()) as runtime:
            found = registered(runtime, taken=self.commands).get(cmd_name)
        if found is None:
            return None
        command = get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a sub-command; what it raises on purpose is told in a line."""
        with reported():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names; a config with errors must not stand in the way of help."""
        names = super().list_commands(ctx)
        if not default_config().exists():
            return names
        try:
            with compiled(default_config()) as runtime:
                return names + sorted(registered(runtime, taken=self.commands))
        except ConfigError:
            return names


def registered(runtime: Runtime, taken: Any) -> dict[str, typer.Typer]:
    """Return the sub-commands that the plugins of a config register.

    Args:
        runtime: the compiled config.
        taken: names that are not free.

    Raises:
        ConfigError: a name is taken, or a plugin fails to register.
    """
    from pipeline.cli.admin_client import AdminClient

    commands: dict[str, typer.Typer] = {}
    for instance in runtime.instances.values():
        key = ("plugins", instance.name)

        def register(name: str, command: typer.Typer, key: tuple[str, str] = key) -> None:
            if name in commands or name in taken:
                message = f"there is already a command {name!r}"
                raise ConfigError(runtime.source.problem(key, message))
            commands[name] = command

        if instance.has("register_commands"):
            try:
                server = runtime.config.server
                host = AdminClient(server.admin, server.admin_token, instance.name)
                instance.hooks["register_commands"](register, host)
            except ConfigError:
                raise
            except (Exception, SystemExit) as error:
                message = f"register_commands failed: {type(error).__name__}: {error}"
                raise ConfigError(runtime.source.problem(key, message)) from error
    return commands

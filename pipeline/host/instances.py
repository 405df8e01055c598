"""Plugin instances: made from the config, their hooks checked against the hookspecs by pluggy."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pluggy
from pydantic import ValidationError

from pipeline.api.hookspecs import PROJECT, Hooks
from pipeline.api.plugin import Plugin, PluginConfig, Trait
from pipeline.config.load import nearest, problems_of
from pipeline.config.quantities import SOURCE
from pipeline.config.schema import Config, InstanceConfig
from pipeline.config.source import Source
from pipeline.errors import ConfigError, Problem
from pipeline.host.conditions import Condition
from pipeline.host.loading import Found, PluginClass, PluginNotFound, find
from pipeline.host.rollout import share_of_mode

HOOKS = tuple(name for name in vars(Hooks) if not name.startswith("_"))


class Life:
    """The life of a plugin object, which several generations of a config may have in common."""

    def __init__(self) -> None:
        self._users = 0

    def begin(self) -> bool:
        """Count a user in; True for the first, who starts the plugin."""
        self._users += 1
        return self._users == 1

    def end(self) -> bool:
        """Count a user out; True for the last, who shuts the plugin down."""
        self._users -= 1
        return self._users == 0


@dataclass(frozen=True, slots=True)
class Instance:
    """A plugin instance with its policies resolved.

    Args:
        name: its key in the config.
        plugin: the object.
        found: where its class came from.
        hooks: name to bound method, taking exactly the arguments of the hookspec.
        timeout_s: budget of one hook.
        fails_closed: whether a failure refuses.
        share_percent: share of tenants for which it is enforced.
        when: its condition, if any.
        uses: what the config names it by.
        options: its own, as they were checked.
        life: of the object.
    """

    name: str
    plugin: Plugin[Any]
    found: Found
    hooks: Mapping[str, Callable[..., Any]]
    timeout_s: float
    fails_closed: bool
    share_percent: int
    when: Condition | None
    uses: str
    options: PluginConfig = field(repr=False)  # secrets may be among them
    life: Life = field(default_factory=Life, repr=False)

    def has(self, hook: str) -> bool:
        """Whether the plugin has a hook."""
        return hook in self.hooks


class Manager(pluggy.PluginManager):
    """Pluggy's manager, for plugins that need no decorator: a hook is known by its name."""

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.add_hookspecs(Hooks)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Take every method whose name is, or looks like it was meant to be, a hook."""
        method = inspect.getattr_static(type(plugin), name, None)
        if not callable(method) or not _looks_like_a_hook(name):
            return None
        return pluggy.HookimplOpts(
            wrapper=False,
            hookwrapper=False,
            optionalhook=False,
            tryfirst=False,
            trylast=False,
            specname=None,
        )


def make_instances(
    config: Config, source: Source, before: Mapping[str, Instance] | None = None
) -> dict[str, Instance]:
    """Make every configured plugin instance and check it.

    Args:
        config: the config.
        source: its document.
        before: instances that run: the object is taken over where name, `uses` and options are
            the same, and code that was imported is not imported again.

    Raises:
        ConfigError: with every problem of every instance.
    """
    manager = Manager()
    made: dict[str, Instance] = {}
    problems: list[Problem] = []
    folder = source.folder / config.plugins_dir if config.plugins_dir is not None else None
    running = before or {}
    for name, settings in config.plugins.items():
        try:
            imported = (*running.values(), *made.values())
            made[name] = _make(name, settings, source, folder, manager, running, imported)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return made


def _make(
    name: str,
    settings: InstanceConfig,
    source: Source,
    folder: Path | None,
    manager: Manager,
    running: Mapping[str, Instance],
    imported: Iterable[Instance],
) -> Instance:
    at = ("plugins", name)

    def fault(key: str, message: str) -> ConfigError:
        return ConfigError(source.problem((*at, key), message))

    known = (one.found for one in imported if one.uses == settings.uses)
    try:
        found = next(known, None) or find(settings.uses, folder)
    except PluginNotFound as error:
        raise fault("uses", str(error)) from error
    plugin_class = found.plugin
    _check_declarations(plugin_class, fault)
    try:
        options = plugin_class.Config.model_validate(settings.with_, context={SOURCE: source})
    except ValidationError as error:
        raise ConfigError(*problems_of(error, source, (*at, "with"))) from None
    condition = None
    if settings.when is not None:
        try:
            condition = Condition(settings.when)
        except ValueError as error:
            raise fault("when", str(error)) from error
    before = running.get(name)
    if before is not None and before.uses == settings.uses and _same(before.options, options):
        plugin, hooks, life = before.plugin, before.hooks, before.life
    else:
        plugin = _constructed(plugin_class, options, name, source, fault)
        hooks, life = _hooks(plugin, name, manager, fault), Life()
    if condition is not None and condition.needs_body and "on_request_headers" in hooks:
        message = "on_request_headers runs before the body is read: no `model` or `stream` here"
        raise fault("when", message)
    return Instance(
        name=name,
        plugin=plugin,
        found=found,
        hooks=hooks,
        timeout_s=settings.timeout if settings.timeout is not None else plugin_class.timeout_s,
        fails_closed=(settings.on_error or plugin_class.on_error) == "closed",
        share_percent=share_of_mode(settings.mode),
        when=condition,
        uses=settings.uses,
        options=options,
        life=life,
    )


def _same(one: PluginConfig, other: PluginConfig) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a stranger's types: made anew where they cannot tell
        return False


def _constructed(
    plugin_class: PluginClass,
    options: PluginConfig,
    name: str,
    source: Source,
    fault: Callable[[str, str], ConfigError],
) -> Plugin[Any]:
    try:
        return plugin_class(options, name=name)
    except ValidationError as error:
        raise ConfigError(*problems_of(error, source, ("plugins", name, "with"))) from None
    except ValueError as error:
        raise fault("with", str(error)) from error
    except (Exception, SystemExit) as error:
        message = f"{plugin_class.__name__} cannot be made: {type(error).__name__}: {error}"
        raise fault("with", message) from error


def _check_declarations(plugin: type[Plugin[Any]], fault: Callable[[str, str], Exception]) -> None:
    missing = [name for name in plugin.requires if not _is_installed(name)]
    if missing:
        hint = f": pip install '{plugin.extra}'" if plugin.extra else ""
        raise fault("uses", f"{plugin.__name__} needs {', '.join(missing)}{hint}")
    unknown = plugin.traits - set(get_args(Trait))
    if unknown:
        raise fault("uses", f"{plugin.__name__} declares unknown traits {sorted(unknown)}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a parent of a dotted name is missing
        return False


def _hooks(
    plugin: Plugin[Any], instance: str, manager: Manager, fault: Callable[[str, str], Exception]
) -> dict[str, Callable[..., Any]]:
    kind = type(plugin).__name__
    for name in dir(type(plugin)):
        if name not in HOOKS and manager.parse_hookimpl_opts(plugin, name) is not None:
            raise fault("uses", f"{kind}.{name} is no hook{nearest(name, HOOKS)}")
    try:
        manager.register(plugin, instance)
    except pluggy.PluginValidationError as error:
        detail = " ".join(str(error).split())
        raise fault("uses", f"a hook of {kind} does not fit its specification: {detail}") from error
    hooks: dict[str, Callable[..., Any]] = {}
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                spec = inspect.signature(getattr(Hooks, caller.name)).parameters
                wanted = tuple(spec)[1:]
                if "register" in wanted and inspect.iscoroutinefunction(implementation.function):
                    raise fault("uses", f"{kind}.{caller.name} cannot be `async def`")
                hooks[caller.name] = _fitted(
                    implementation.function, implementation.argnames, wanted
                )
    return hooks


def _fitted(
    function: Callable[..., Any], taken: tuple[str, ...], given: tuple[str, ...]
) -> Callable[..., Any]:
    """Let a hook that takes fewer arguments than its specification be called with all of them."""
    if taken == given:
        return function
    places = [given.index(name) for name in taken]
    if len(places) == 1 and not inspect.iscoroutinefunction(function):
        place = places[0]
        return lambda *arguments: function(arguments[place])
    if inspect.iscoroutinefunction(function):

        async def fitted_async(*arguments: Any) -> Any:
            return await function(*(arguments[place] for place in places))

        return fitted_async

    def fitted(*arguments: Any) -> Any:
        return function(*(arguments[place] for place in places))

    return fitted


def _looks_like_a_hook(name: str) -> bool:
    return name in HOOKS or name.startswith(("on_", "register_"))

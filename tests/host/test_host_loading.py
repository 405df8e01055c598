"""Plugins are found where the config says, and every way to get one wrong is a clear error."""

from __future__ import annotations

import itertools
import sys

import pytest

from pipeline.api import Plugin, PluginConfig
from pipeline.errors import ConfigError
from pipeline.host import loading
from pipeline.host.runtime import Runtime
from tests.support.chain import plugin, runtime_with, uses_of, write_module
from tests.support.host import runtime_of

_NUMBERS = itertools.count()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the import path, to install distributions in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site):
    def make(distribution, name, code=None, module=None, attribute="Thing"):
        module = module or f"dist_module_{next(_NUMBERS)}"
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        (info / "entry_points.txt").write_text(
            f"[{loading.GROUP}]\n{name} = {module}:{attribute}\n"
        )
        write_module(
            site, module, code or "from pipeline.api import Plugin\nclass Thing(Plugin): ..."
        )
        return module

    return make


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()

    def write(name, code):
        write_module(folder, name, code)
        return folder

    write("unused", "raise AssertionError('nobody named this')")
    return write


def config(uses, folder=None, **keys):
    top = f"plugins_dir: {folder}\n" if folder else ""
    more = "".join(f", {key.rstrip('_')}: {value}" for key, value in keys.items())
    return f"{top}plugins:\n  p: {{uses: '{uses}'{more}}}\nroutes: [{{name: r, plugins: [p]}}]\n"


def fault(uses, folder=None, **keys):
    with pytest.raises(ConfigError) as caught:
        runtime_of(config(uses, folder, **keys))
    [problem] = caught.value.problems
    assert problem.line == (3 if folder else 2)
    assert problem.key.startswith("plugins.p")
    return problem.message


def faulty(made, **keys):
    return fault(uses_of(made), **keys)


# --- where a plugin comes from


def test_a_plugin_is_found_by_the_entry_point_of_an_installed_distribution(install):
    install("acme-guard", "acme")

    found = runtime_of(config("acme")).instances["p"].found

    assert (found.distribution, found.version) == ("acme-guard", "1.2")
    assert found.plugin.__name__ == "Thing"


def test_a_name_that_two_distributions_have_is_refused_with_both(install):
    install("acme-guard", "both")
    install("other-guard", "both")

    message = fault("both")

    assert message == "several distributions have a plugin 'both': acme-guard 1.2, other-guard 1.2"


def test_nothing_is_imported_that_no_config_names(install, local):
    mine = install("acme-guard", "mine")
    other = install("other-guard", "other", "raise AssertionError('nobody named this')")
    folder = local("chosen", "from pipeline.api import Plugin\nclass A(Plugin): ...")

    runtime_of(config("mine", folder))

    assert mine in sys.modules
    assert other not in sys.modules
    assert "dragoman_local_unused" not in sys.modules


def test_an_unknown_name_is_refused_with_the_nearest_one(install):
    install("acme-guard", "acme_guard")

    assert "did you mean 'acme_guard'?" in fault("acme_gaurd")


def test_a_plugin_is_found_as_module_and_object():
    made = plugin()

    found = runtime_of(config(uses_of(made))).instances["p"].found

    assert (found.plugin, found.distribution) == (made, made.__module__)


def test_a_plugin_is_found_in_plugins_dir_beside_helpers_and_imported_plugins(local):
    folder = local(
        "guard",
        """
        from pipeline.api import Plugin, PluginConfig
        from plugins.prompt_decorator import PromptDecorator

        class Config(PluginConfig): ...
        class Guard(Plugin): ...
        """,
    )

    found = runtime_of(config("guard", folder)).instances["p"].found

    assert (found.plugin.__name__, found.distribution) == ("Guard", str(folder / "guard.py"))


def test_plugins_dir_is_relative_to_the_config_file(tmp_path, local):
    from pipeline.config.load import load_config
    from pipeline.host.compile import compile_config

    local("guard", "from pipeline.api import Plugin\nclass Guard(Plugin): ...")
    file = tmp_path / "d.yaml"
    file.write_text(config("guard", "local"))

    assert "p" in compile_config(*load_config(file, {})).instances


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "must define exactly one Plugin class, not 0"),
        ("from pipeline.api import Plugin", "not 0"),
        (
            "from pipeline.api import Plugin\nclass A(Plugin): ...\nclass B(Plugin): ...",
            "not 2",
        ),
        ("import a_module_that_is_nowhere", "No module named 'a_module_that_is_nowhere'"),
        ("def (:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_local_module_that_is_no_plugin_is_refused(local, code, words):
    folder = local("guard", code)

    assert words in fault("guard", folder)
    assert "dragoman_local_guard" not in sys.modules or "exactly one" in fault("guard", folder)


def test_a_local_module_that_has_the_name_of_an_installed_plugin_is_refused(local, install):
    install("acme-guard", "guard")
    folder = local("guard", "from pipeline.api import Plugin\nclass Guard(Plugin): ...")

    assert "acme-guard 1.2: rename one" in fault("guard", folder)


def test_a_local_module_shadows_no_package_of_its_name(local):
    import yaml

    folder = local("yaml", "from pipeline.api import Plugin\nclass Guard(Plugin): ...")
    runtime_of(config("yaml", folder))

    assert sys.modules["yaml"] is yaml


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ("nowhere_at_all:X", "cannot import nowhere_at_all: No module named"),
        ("json:JSONDecoder", "'json:JSONDecoder' is no subclass of pipeline.api.Plugin"),
        ("json:Nope", "is no subclass"),
        ("json:", "is no subclass"),
        (":Plugin", "cannot import an empty name"),
        (".relative:X", "cannot import .relative"),
        ("a..b:X", "cannot import a..b"),
        ("../etc/passwd", "no installed distribution"),
        ("", "no installed distribution"),
    ],
)
def test_a_module_and_object_that_give_no_plugin_are_refused(uses, words):
    assert words in fault(uses)


@pytest.mark.parametrize("code", ["1 / 0", "def (:", "raise SystemExit(3)", "import nowhere_x"])
def test_an_installed_plugin_whose_import_fails_is_refused(install, code):
    module = install("acme-guard", "acme", code)

    assert f"cannot import {module}" in fault("acme")


# --- what a plugin declares


@pytest.mark.parametrize("module", ["nowhere_at_all", "nowhere_at_all.inside", "json.nowhere"])
def test_a_missing_extra_is_refused_with_the_pip_command(module):
    made = plugin(requires=("json", module), extra="dragoman[pii]")

    message = faulty(made)

    assert message == f"{made.__name__} needs {module}: pip install 'dragoman[pii]'"


def test_an_unknown_trait_is_refused():
    assert "unknown traits ['gaurd']" in faulty(plugin(traits=frozenset({"gaurd", "cache"})))


@pytest.mark.parametrize(
    ("hook", "right"),
    [
        ("on_requst", "on_request"),
        ("on_response_events", "on_response_event"),
        ("register_signal", "register_signals"),
    ],
)
def test_a_typo_in_a_hooks_name_is_refused_with_the_right_one(hook, right):
    made = plugin(**{hook: lambda self, exchange: None})

    assert faulty(made) == f"{made.__name__}.{hook} is no hook; did you mean {right!r}?"


def test_a_hook_that_wants_an_argument_it_cannot_have_is_refused():
    message = faulty(plugin(on_request=lambda self, exchange, event: None))

    assert "does not fit its specification" in message
    assert "event" in message


def test_a_register_hook_that_is_async_is_refused():
    async def register_signals(self, register):
        """Never awaited."""

    assert "register_signals cannot be `async def`" in faulty(
        plugin(register_signals=register_signals)
    )


async def test_a_hook_may_take_fewer_arguments_and_in_any_order():
    async def on_response_event(self, event):
        return ("async", event)

    made = plugin(
        on_request=lambda self: "none",
        on_complete=lambda self, outcome, exchange: (outcome, exchange),
        on_response=lambda self, *rest: rest,
        on_response_event=on_response_event,
    )

    hooks = runtime_with(p=made).instances["p"].hooks

    assert hooks["on_request"]("x") == "none"
    assert hooks["on_complete"]("x", "o") == ("o", "x")
    assert hooks["on_response"]("x") == ()
    assert await hooks["on_response_event"]("x", "e") == ("async", "e")


# --- options and construction


def test_an_unknown_option_is_told_at_its_key():
    with pytest.raises(ConfigError) as caught:
        runtime_of(config(uses_of(plugin()), with_="{nope: sesame}"))

    [problem] = caught.value.problems
    assert (problem.key, problem.message) == ("plugins.p.with.nope", "there is no such option")


def test_every_bad_option_of_every_instance_is_told():
    class Options(PluginConfig):
        size: int
        name: str = ""

    made = plugin(Config=Options)
    with pytest.raises(ConfigError) as caught:
        runtime_with(
            a=(made, {"with": {"size": "sesame", "name": 3}}), b=(made, {}), c=(plugin(), {})
        )

    assert [one.key for one in caught.value.problems] == [
        "plugins.a.with.size",
        "plugins.a.with.name",
        "plugins.b.with.size",
    ]
    assert "sesame" not in str(caught.value)


def raising(error):
    def init(self, config, *, name):
        raise error

    return plugin(__init__=init)


def test_a_constructor_refuses_its_options_with_a_value_error():
    assert faulty(raising(ValueError("strong and weak are the same"))) == (
        "strong and weak are the same"
    )


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), OSError("x"), SystemExit(3)])
def test_a_constructor_that_fails_otherwise_is_a_config_error_too(error):
    assert f"cannot be made: {type(error).__name__}" in faulty(raising(error))


def test_a_constructor_that_checks_with_pydantic_quotes_no_option():
    class Inner(PluginConfig):
        size: int

    def init(self, config, *, name):
        Inner(size="sesame")

    message = faulty(plugin(__init__=init))

    assert "integer" in message
    assert "sesame" not in message


def test_a_plugin_that_keeps_no_name_or_config_is_taken():
    made = plugin(__init__=lambda self, config, *, name: None)

    assert set(runtime_with(a=made, b=made).instances) == {"a", "b"}


def test_policies_come_from_the_config_and_else_from_the_plugin():
    made = plugin(on_error="closed", timeout_s=0.25)
    runtime = runtime_with(
        plain=made, told=(made, {"on_error": "open", "timeout": "2s", "mode": "7%"})
    )
    plain, told = runtime.instances["plain"], runtime.instances["told"]

    assert (plain.fails_closed, plain.timeout_s, plain.share_percent) == (True, 0.25, 100)
    assert (told.fails_closed, told.timeout_s, told.share_percent) == (False, 2.0, 7)


# --- registering


@pytest.mark.parametrize(
    ("hook", "name", "words"),
    [
        ("register_signals", "length", "there is already a signal 'length'"),
        ("register_providers", "openai", "there is already a provider 'openai'"),
    ],
)
def test_a_name_registered_twice_is_refused(hook, name, words):
    made = plugin(**{hook: lambda self, register: (register(name, 1), register(name, 2))})

    assert words in faulty(made)


def test_a_dialect_whose_name_is_taken_or_not_its_own_is_refused():
    from pipeline.dialects.openai_chat import OpenAIChat

    taken = plugin(register_dialects=lambda self, register: register("openai.chat", OpenAIChat()))
    other = plugin(register_dialects=lambda self, register: register("mine", OpenAIChat()))

    assert faulty(taken) == "there is a dialect 'openai.chat' already"
    assert faulty(other) == "the dialect registered as 'mine' calls itself 'openai.chat'"


def test_a_register_hook_that_fails_is_told():
    made = plugin(register_dialects=lambda self, register: register("mine", object()))

    assert "register_dialects failed: AttributeError" in faulty(made)


# --- start and stop


def recording(log, name, *, fails=None):
    def startup(self):
        log.append(f"+{self.name}")
        if fails is not None:
            raise fails

    async def shutdown(self):
        log.append(f"-{self.name}")
        if name == "rude":
            raise SystemExit(3)

    return plugin(startup=startup, shutdown=shutdown)


@pytest.mark.parametrize("error", [ValueError("no disk"), SystemExit("no disk")])
async def test_a_failed_startup_shuts_down_what_was_started_in_reverse_order(error):
    log = []
    runtime = runtime_with(
        a=recording(log, "a"),
        rude=recording(log, "rude"),
        c=recording(log, "c", fails=error),
        d=recording(log, "d"),
    )

    with pytest.raises(ConfigError, match=r"plugins\.c: startup failed: \w+: no disk"):
        await runtime.startup()

    assert log == ["+a", "+rude", "+c", "-c", "-rude", "-a"]


async def test_instances_start_in_list_order_and_stop_in_reverse_once():
    log = []
    runtime = runtime_with(**{name: recording(log, name) for name in ("b", "a", "rude")})

    await runtime.startup()
    await runtime.shutdown()
    await runtime.shutdown()

    assert log == ["+b", "+a", "+rude", "-rude", "-a", "-b"]


def test_an_instance_no_route_uses_is_made_all_the_same():
    runtime = runtime_with({"routes": [{"name": "r"}]}, p=plugin())

    assert isinstance(runtime, Runtime)
    assert isinstance(runtime.instances["p"].plugin, Plugin)

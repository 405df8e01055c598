"""The generated reference: it is what the code says now, and it leaves nothing out."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from typer.main import get_command

import pipeline
from pipeline.api import METRICS as OF_PLUGINS
from pipeline.api import decisions
from pipeline.cli.main import app
from pipeline.cli.reference import pages
from pipeline.cli.reference_metrics import plugin_rows
from pipeline.config.schema import Config
from pipeline.envoy import local_replies
from pipeline.host.codes import CODES
from pipeline.host.instances import HOOKS
from pipeline.host.names import REPORT_HEADERS
from pipeline.host.plugin_metrics import collectors
from pipeline.observability.catalogue import METRICS
from pipeline.server.models.metrics import ENGINE_METRICS, MODEL_METRICS
from pipeline.testing.conformance import RULES

PIPELINE = Path(pipeline.__file__).parent
TRANSLATE = PIPELINE.parent / "plugins" / "translate"
REFERENCE = PIPELINE.parent / "docs" / "reference"
# What carries a code to a client: its place among the positional arguments, if it has one.
CARRIERS = {
    "InvalidCall": None,
    "Refuse": 1,
    "AskFault": 1,
    "Fault": 1,
    "refusal": None,
    "fault": None,
}


def test_regenerating_the_reference_changes_nothing():
    written = {file.name: file.read_text(encoding="utf-8") for file in REFERENCE.glob("*.md")}

    assert written == pages(), "run `make reference`"


def test_every_config_key_is_in_the_reference():
    text = pages()["config.md"]
    schema = Config.model_json_schema()
    keys = [key for model in (schema, *schema["$defs"].values()) for key in model["properties"]]

    assert "path_prefix" in keys
    assert [key for key in keys if f"| `{key}` |" not in text] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("hooks.md", [f"## `{hook}`" for hook in HOOKS]),
        ("headers.md", [f"| `{header}` |" for header in REPORT_HEADERS.values()]),
        (
            "metrics.md",
            [f"| `{metric.name}` |" for metric in (*METRICS, *ENGINE_METRICS, *MODEL_METRICS)],
        ),
        ("errors.md", [f"| `{code}` |" for code in CODES]),
        ("decisions.md", [f"## `{kind.__name__}`" for kind in decisions.Decision.__args__]),
        ("conformance.md", [f"## `{rule.name}`" for rule in RULES]),
        ("plugins.md", ["## `prompt_template`", "## `prompt_decorator`", "## `translate`"]),
    ],
)
def test_every_name_is_on_its_page(page, names):
    text = pages()[page]

    assert names
    assert [name for name in names if name not in text] == []


def test_every_metric_of_a_built_in_plugin_is_on_its_page():
    text = pages()["metrics.md"]
    # Loading them for the pages has imported what makes their metrics.
    modules = [module for name, module in sys.modules.items() if name.startswith("plugins.")]
    made = {id(value) for module in modules for value in vars(module).values()}
    own = [one for one in collectors() if isinstance(one, MetricWrapperBase) and id(one) in made]
    names = [family.name for one in own for family in one.describe()]

    assert [name for name in names if f"| `{name}" not in text] == []


def test_a_plugins_metrics_are_found_in_its_module_its_package_and_a_metrics_module(
    tmp_path, monkeypatch
):
    package = tmp_path / "acme_metered"
    package.mkdir()
    made = "from prometheus_client import {0}\nfrom pipeline.api import METRICS\n"
    (package / "__init__.py").write_text("")
    (package / "metrics.py").write_text(
        made.format("Counter") + "A = Counter('acme_a', 'Of A.', ['x', 'y'], registry=METRICS)\n"
    )
    (package / "plugin.py").write_text(
        made.format("Histogram") + "B = Histogram('acme_b', 'Of B.', registry=METRICS)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    other = Counter("acme_other", "Of nobody here.", registry=OF_PLUGINS)
    before = collectors()
    try:
        rows = list(plugin_rows("acme_metered.plugin"))
    finally:
        for one in collectors():
            if one not in before or one is other:
                OF_PLUGINS.unregister(one)

    assert sorted(rows) == [
        ("`acme_a_total`", "counter", "`x`, `y`", "Of A."),
        ("`acme_b`", "histogram", "none", "Of B."),
    ]


def commands(group, prefix="dragoman"):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_every_command_and_option_is_in_the_reference():
    text = pages()["cli.md"]
    for name, command in commands(get_command(app)):
        _, found, section = text.partition(f"## `{name}`\n")
        assert found, name
        section = section.partition("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert all(option in section for option in parameter.opts)


def codes_in(tree: ast.AST):
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in CARRIERS:
            continue
        place = CARRIERS[name]
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        given += [] if place is None else node.args[place : place + 1]
        # Ours are lower-case words; a provider's own word is its own business (Cohere's `ERROR`).
        yield from (v.value for v in given if isinstance(v, ast.Constant) and v.value.islower())


def used_codes():
    for file in (*PIPELINE.rglob("*.py"), *TRANSLATE.rglob("*.py")):
        if "demo" not in file.parts:  # an upstream has errors of its own
            yield from codes_in(ast.parse(file.read_text(encoding="utf-8")))


def test_every_error_code_in_the_sources_is_documented_and_none_other():
    # `policy` chooses among these by the kind of failure.
    kinds = {"plugin_timeout", "plugin_error", "plugin_nonsense"}

    envoys_own = {code for _, code, _ in local_replies.FAULTS} | {"no_backend"}

    assert set(used_codes()) | kinds | envoys_own == CODES.keys()

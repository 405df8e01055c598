"""The README does what it says, and every config on any page is one that Dragoman takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.host.lint import lint
from tests.support.host import ask, error_of, forwarded, runtime_of
from tests.support.pages import Reader, blocks

pytestmark = pytest.mark.docs

_ROOT = Path(__file__).parents[2]
_README = _ROOT / "README.md"
_PAGES = [_README, *sorted((_ROOT / "docs").rglob("*.md"))]
_CONFIGS = [
    pytest.param(block.text, id=f"{page.relative_to(_ROOT)}-{number}")
    for page in _PAGES
    if "tutorial" not in page.parts and "examples" not in page.parts
    for number, block in enumerate(blocks(page))
    if block.language == "yaml" and "routes:" in block.text and not block.title
]
_PROMISE = re.compile(r"\[`(test_\w+)`\]\(([\w/.]+)\)")


@pytest.mark.e2e
@pytest.mark.usefixtures("curl")
def test_the_first_commands_are_answered_as_the_readme_says(folder, default_config, ports):
    [page] = [block for block in blocks(_README) if block.language == "console"]
    script = folder / "start.md"
    script.write_text(f"```console\n$ dragoman run\n│ Dragoman is ready …\n{page.text}```\n")

    with Reader(folder, default_config, {"127.0.0.1:10000": f"127.0.0.1:{ports[0]}"}) as reader:
        assert reader.follow(script) == 2


async def test_the_plugin_and_the_config_of_the_readme_work_together(tmp_path):
    runtime = _runtime_of_the_readme(tmp_path)
    messages = [{"role": "user", "content": "hello"}]

    refused = await ask(runtime, {"model": "gpt-2", "messages": messages})
    passed = await ask(runtime, {"model": "gpt-5", "messages": messages})

    assert error_of(refused)["code"] == "model_not_allowed"
    decorated = passed.report["plugins"]
    assert decorated.startswith("models=continue, style=")
    if "shadow" not in decorated:
        assert forwarded(passed)["messages"][0]["content"] == "Answer briefly."


def test_the_test_of_the_how_to_passes_for_the_plugin_of_the_tutorial(tmp_path):
    for page in ("tutorial/first-plugin.md", "how-to/test-a-plugin.md"):
        for block in blocks(_ROOT / "docs" / page):
            if block.language == "python" and block.title:
                (tmp_path / Path(block.title).name).write_text(block.text)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_code_names.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed, 1 skipped" in done.stdout, done.stdout + done.stderr


def test_the_plugin_of_the_readme_is_as_short_as_it_says():
    [plugin] = [block for block in blocks(_README) if block.language == "python"]

    assert len([line for line in plugin.text.splitlines() if line]) <= 15


def test_the_readme_is_short():
    assert len(_README.read_text().splitlines()) <= 150


def test_every_promise_names_a_test_that_is_there():
    promises = _PROMISE.findall(_README.read_text())

    assert len(promises) >= 10
    for name, path in promises:
        assert f"def {name}(" in (_ROOT / path).read_text(), f"{path} has no {name}"


@pytest.mark.parametrize("text", _CONFIGS)
def test_a_config_on_a_page_can_be_used(text):
    runtime = runtime_of(text, dict.fromkeys(re.findall(r"\$\{(\w+)", text), "x"))

    assert [one.rule for one in lint(runtime) if one.severity == "warning"] == []


def _runtime_of_the_readme(folder):
    for block in blocks(_README):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    secret = folder / "secret"
    secret.write_text("key")
    text = (folder / "dragoman.yaml").read_text().replace("/run/secrets/llm", str(secret))
    document = yaml.safe_load(text) | {"plugins_dir": str(folder / "my_plugins")}
    return runtime_of(yaml.safe_dump(document), {"OPENAI_API_KEY": "key"})

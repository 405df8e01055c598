"""A stranger's plugin joins a chain after `pip install`, with no change to this repository."""

from __future__ import annotations

import json
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.docs

_ROOT = Path(__file__).parents[2]
_EXAMPLE = _ROOT / "docs/examples/dragoman-word-limit"

_SCRIPT = '''
import asyncio, json, re, sys

from pipeline.host.loading import find
from tests.support.host import SSE_RESPONSE, VIA_UPSTREAM
from tests.support.host import ask, error_of, frames_of, runtime_of, session_of

CONFIG = """
plugins: {limit: {uses: word_limit, with: {prompt_words: 5, answer_words: 2}}}
routes: [{name: chat, plugins: [limit]}]
"""

def body(text):
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}

def chunk(text):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "a", "choices": [choice]}).encode() + b"\\n\\n"

async def main():
    [documented] = re.findall(r"```yaml\\n(.*?)```", open(sys.argv[1]).read(), re.DOTALL)
    runtime_of(documented)
    runtime = runtime_of(CONFIG)
    refused = error_of(await ask(runtime, body("one two three four five six")))
    session = session_of(runtime)
    await ask(runtime, body("one two three"), session=session)
    await session.response_headers(SSE_RESPONSE, ends=False, attributes=VIA_UPSTREAM)
    stream = chunk("eins ") + chunk("zwei ") + chunk("drei ") + b"data: [DONE]\\n\\n"
    emit = await session.response_events(frames_of(stream), ended=True)
    await session.complete(cancelled=False)
    found = find("word_limit", None)
    print(json.dumps({
        "found": [found.distribution, found.version, found.plugin.__module__],
        "refused": [refused["status"], refused["code"]],
        "streamed": emit.data.decode(),
        "ended": emit.end,
    }))

asyncio.run(main())
'''


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the interpreter of a fresh environment with the example installed by pip.

    The environment sees this one's packages, so that nothing has to be downloaded; the example
    itself is only in the new one.
    """
    folder = tmp_path_factory.mktemp("stranger")
    # What a build leaves behind must not end up in the repository.
    source = shutil.copytree(_EXAMPLE, folder / "dragoman-word-limit")
    venv.create(folder / "venv", symlinks=True)
    bin_folder = folder / "venv/bin"
    [site_packages] = (folder / "venv/lib").glob("python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (site_packages / "outer.pth").write_text("\n".join([*lines, str(_ROOT)]))
    pip = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python")]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", *offline, str(source)], folder)
    return bin_folder / "python"


def test_the_installed_plugin_joins_a_chain(python, tmp_path):
    report = json.loads(_run([str(python), "-c", _SCRIPT, str(_EXAMPLE / "README.md")], tmp_path))

    assert report["found"] == ["dragoman-word-limit", "1.0.0", "dragoman_word_limit.plugin"]
    assert report["refused"] == [400, "prompt_too_long"]
    assert "zwei" in report["streamed"]
    assert "drei" not in report["streamed"]
    assert "answer_too_long" in report["streamed"]
    assert report["ended"] is True


def test_the_plugin_s_own_tests_pass(python):
    copy = python.parents[2] / "dragoman-word-limit"

    _run([str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"], copy)


def test_this_repository_does_not_know_the_plugin():
    known = [*_ROOT.glob("pipeline/**/*.py"), *_ROOT.glob("plugins/**/*.py")]
    known.append(_ROOT / "pyproject.toml")

    assert [path for path in known if "word_limit" in path.read_text()] == []


def _run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

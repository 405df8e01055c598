"""What `dragoman new-plugin` writes is installed and passes its own tests at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.testing.conformance import RULES

pytestmark = pytest.mark.docs


@pytest.fixture(scope="module")
def home(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("author")
    _run("dragoman new-plugin rude-words", folder, environment)
    home = folder / "dragoman-rude-words"
    _run("pip install .", home, environment)
    return home


def test_its_own_tests_and_the_conformance_suite_pass(home, environment):
    shown = _run("python -m pytest -v -p no:cacheprovider -p no:randomly", home, environment)

    missing = [rule.name for rule in RULES if f"test_conformance[{rule.name}] PASSED" not in shown]
    assert missing == []
    assert "test_a_call_with_the_word_is_refused_in_every_api" in shown


def test_it_is_known_to_dragoman(home, environment):
    (home / "dragoman.yaml").write_text(
        "plugins: {rude: {uses: rude_words, with: {words: [unicorn]}}}\n"
        "routes: [{name: chat, plugins: [rude]}]\n"
    )

    assert "1 route, no errors" in _run("dragoman check", home, environment)


def test_it_is_typed_and_clean(home, tmp_path):
    tools = [
        ["mypy", "--strict", "--cache-dir", str(tmp_path), "src"],
        ["ruff", "check", "--isolated", "--select", "E,F,I,B,UP", "."],
        ["ruff", "format", "--isolated", "--check", "."],
    ]
    for tool in tools:
        done = subprocess.run(
            [sys.executable, "-m", *tool], cwd=home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _run(line, folder, environment):
    done = subprocess.run(
        line.split(),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

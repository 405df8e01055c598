"""`dragoman catalog` shows what is known of models."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from pipeline.cli.main import app


def _run(*arguments):
    return CliRunner().invoke(app, ["catalog", *arguments], env={"COLUMNS": "200"})


def test_a_model_is_shown_by_any_providers_name_of_it():
    result = _run("us.anthropic.claude-haiku-4-5-20251001-v1:0")

    assert result.exit_code == 0
    assert "claude-haiku-4-5" in result.output
    assert "64,000 tokens" in result.output


def test_an_entry_is_json_for_machines():
    document = json.loads(_run("gpt-5-mini", "--json").output)

    assert document["max_output_tokens"] == 128_000
    assert document["reasoning"]["efforts"] == ["minimal", "low", "medium", "high"]


def test_without_a_name_every_model_has_a_line():
    result = _run()

    assert result.exit_code == 0
    assert "gemini-2.5-pro" in result.output
    assert "mistral-large" in result.output


def test_an_unknown_model_is_said_to_be_with_those_near_it():
    result = _run("gpt-5-mimi")

    assert result.exit_code == 1
    assert "gpt-5-mini" in result.output

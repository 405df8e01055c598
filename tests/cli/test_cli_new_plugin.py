"""`dragoman new-plugin` takes names that will work and overwrites nothing."""

from __future__ import annotations

import pytest
import typer

from pipeline.cli.new_plugin import UnusableName, names_of, new_plugin, written_files


@pytest.mark.parametrize("name", ["word-limit", "word_limit", "dragoman-word-limit"])
def test_a_plugin_s_parts_are_named_after_it(name):
    assert names_of(name) == {
        "plugin": "word_limit",
        "distribution": "dragoman-word-limit",
        "package": "dragoman_word_limit",
        "class_name": "WordLimit",
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "words in lower case"),
        ("Word", "words in lower case"),
        ("1st", "words in lower case"),
        ("a--b", "words in lower case"),
        ("-a", "words in lower case"),
        ("a-", "words in lower case"),
        ("../a", "words in lower case"),
        ("a b", "words in lower case"),
        ("a\n", "words in lower case"),
        ("dragoman-", "words in lower case"),
        ("é", "words in lower case"),
        ("x" * 41, "40 characters"),
        ("class", "in Python"),
        ("none", "in Python"),
        ("plugin", "in Python"),
        ("prompt-template", "installed already"),
    ],
)
def test_a_name_that_would_not_work_is_refused(name, words):
    with pytest.raises(UnusableName, match=words):
        names_of(name)


def test_every_name_is_filled_in():
    written = written_files(names_of("word-limit"))

    assert "src/dragoman_word_limit/plugin.py" in written
    assert [place for place, text in written.items() if "$" in place + text] == []


def test_what_is_there_is_never_overwritten(tmp_path):
    home = tmp_path / "dragoman-word-limit"
    home.mkdir()

    with pytest.raises(typer.BadParameter, match="nothing was written"):
        new_plugin("word-limit", tmp_path)

    assert list(home.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(typer.BadParameter, match="nothing was written"):
        new_plugin("word-limit", file)

"""Every committed input passes its target, with or without a fuzzer installed."""

import json
import random
from pathlib import Path

import pytest

from tests.fuzz.campaign import CORPUS, NAMES, inputs, load, write_dictionary
from tests.fuzz.json_mutator import ODD, mutate_json
from tests.fuzz.reader import Choices, cut

_MAX_CORPUS_BYTES = 200_000


@pytest.mark.parametrize("name", NAMES)
def test_every_committed_input_passes(name):
    target, files = load(name), list(inputs(name))

    assert files
    for file in files:
        target.check(file.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_are_cut_off_pass_too(name):
    target = load(name)

    for file in inputs(name):
        data = file.read_bytes()
        target.check(data[: len(data) // 2])
    target.check(b"")


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(load(name), "WORDS")])
def test_inputs_that_are_mutated_as_json_pass_too(name):
    target = load(name)

    for file in inputs(name):
        data = file.read_bytes()
        for seed in range(10):
            data = mutate_json(data, seed, target.WORDS, lambda raw: raw[: len(raw) - 1])
            target.check(data)


def test_the_corpus_is_small_and_every_folder_of_it_has_a_target():
    assert {folder.name for folder in CORPUS.iterdir()} == set(NAMES)
    assert sum(f.stat().st_size for f in CORPUS.rglob("*") if f.is_file()) < _MAX_CORPUS_BYTES


def test_a_mutation_changes_json_and_depends_on_its_seed_alone():
    data = b'{"a":[1,{"b":"c"}]}'
    made = [mutate_json(data, seed, ["role"], bytes.upper) for seed in range(20)]

    assert made == [mutate_json(data, seed, ["role"], bytes.upper) for seed in range(20)]
    assert len(set(made)) > 10
    assert mutate_json(b"{", 1, ["role"], lambda raw: raw + b"!") == b"{!"


def test_mutations_in_a_row_end_and_leave_the_odd_values_as_they_are():
    before, data = repr(ODD), b'{"a":[1,{"b":"c"}]}'
    for seed in range(2_000):
        data = mutate_json(data, seed, ["role"], lambda raw: raw)[:500]
        if not data.endswith(b"}"):
            data = b'{"a":[1,{"b":"c"}]}'

    assert repr(ODD) == before


def test_a_document_too_deep_for_json_is_mutated_as_bytes_or_not_at_all():
    for levels in (500, 990, 5_000, 100_000):
        deep = b"[" * levels + b"]" * levels
        for seed in range(20):
            assert mutate_json(deep, seed, ["role"], lambda raw: raw)


def test_cuts_and_choices_use_every_byte():
    data = random.Random(1).randbytes(300)
    choices = Choices(b"\x02ab\x05rest")

    assert all(b"".join(cut(data, seed)) == data for seed in range(256))
    assert (choices.piece(), choices.piece(), bool(choices), choices.byte()) == (
        b"ab",
        b"rest",
        False,
        0,
    )


def test_a_dictionary_has_every_token(tmp_path: Path):
    for name in NAMES:
        target = load(name)
        write_dictionary(target, tmp_path / "dictionary")
        lines = (tmp_path / "dictionary").read_text().splitlines()
        tokens = [json.loads(line.replace("\\x", "\\u00")).encode("latin-1") for line in lines]

        assert tokens == [token for token in target.TOKENS if token]

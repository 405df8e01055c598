from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.files import data_folder, has_data, read_json, read_text
from pipeline.inference.language import ABSTAIN_BELOW, language
from pipeline.inference.language_words import FUNCTION_WORDS, LETTERS, SCRIPTS

CODES = {*FUNCTION_WORDS, *LETTERS, *(code for code, *_ in SCRIPTS), "uk", "ur", "fa"}
needs_data = pytest.mark.skipif(not has_data(), reason="no training material here")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "What is the best way to learn how to swim?"),
        ("de", "Wie heißt der höchste Berg der Welt und wo liegt er?"),
        ("fr", "Quelle est la capitale de la France et combien d'habitants a-t-elle ?"),
        ("es", "¿Cuál es la capital de Australia y cuándo fue fundada?"),
        ("it", "Qual è il modo migliore per imparare a nuotare?"),
        ("pt", "Qual é a melhor maneira de aprender a nadar e por que não é fácil?"),
        ("nl", "Wat is de beste manier om te leren zwemmen?"),
        ("sv", "Vad är det bästa sättet att lära sig simma och varför?"),
        ("fi", "Mikä on paras tapa oppia uimaan ja miksi se ei ole helppoa?"),
        ("pl", "Jaki jest najlepszy sposób, żeby nauczyć się pływać?"),
        ("cs", "Jaký je nejlepší způsob, jak se naučit plavat, a proč je to těžké?"),
        ("hu", "Hogyan lehet megtanulni úszni, és miért nem könnyű ez?"),
        ("ro", "Care este cel mai bun mod de a învăța să înoți?"),
        ("tr", "Yüzme öğrenmek için en iyi yol nedir ve neden bu kadar zor?"),
        ("id", "Apa cara terbaik untuk belajar berenang dan mengapa itu tidak mudah?"),
        ("vi", "Cách tốt nhất để học bơi là gì và tại sao không dễ?"),
        ("ru", "Как лучше всего научиться плавать?"),
        ("uk", "Який найкращий спосіб навчитися плавати?"),
        ("el", "Ποιος είναι ο καλύτερος τρόπος;"),
        ("he", "מה הדרך הטובה ביותר ללמוד לשחות?"),
        ("ar", "ما هي أفضل طريقة لتعلم السباحة؟"),
        ("fa", "بهترین راه برای یادگیری شنا چیست؟"),
        ("hi", "तैरना सीखने का सबसे अच्छा तरीका क्या है?"),
        ("th", "วิธีที่ดีที่สุดในการเรียนว่ายน้ำคืออะไร"),
        ("ko", "수영을 배우는 가장 좋은 방법은 무엇입니까?"),
        ("ja", "水泳を学ぶ最良の方法は何ですか？"),
        ("zh", "学习游泳的最好方法是什么？"),
    ],
)
def test_a_sentence_is_in_its_language(code, text):
    found = language(text)

    assert found.name == code
    assert found.probability >= ABSTAIN_BELOW


@pytest.mark.parametrize("text", ["", "12345 +++", "qwrtz", "PostgreSQL", "x = y[0]", "😀😀"])
def test_without_evidence_there_is_no_name(text):
    assert language(text).name is None


def test_words_that_languages_share_decide_nothing():
    assert language("de la").name is None


def test_a_foreign_name_in_an_english_sentence_does_not_change_it():
    assert language("Who was Пушкин and what did he write about the war?").name == "en"


@given(st.text())
def test_every_text_has_a_probability(text):
    found = language(text)

    assert 0 < found.probability <= 1
    assert found.name is None or found.name in CODES


@needs_data
def test_translated_prompts_are_in_the_language_they_were_translated_to():
    codes = {
        "Portuguese": "pt",
        "Spanish": "es",
        "Italian": "it",
        "German": "de",
        "French": "fr",
        "Hindi": "hi",
        "Thai": "th",
    }
    guard = data_folder() / "guard"
    rows = read_json(guard / "purplellama_frr_multilingual_machine_translated.json")
    right = [
        language(row["mutated_prompt"]).name == codes[row["speaking_language"]] for row in rows
    ]

    assert sum(right) >= 0.99 * len(rows)


@needs_data
def test_german_sentences_of_any_kind_are_german_or_unnamed():
    blocks = read_text(data_folder() / "pii" / "germeval2014_dev.tsv").split("\n\n")
    texts = [
        " ".join(line.split("\t")[1] for line in block.splitlines() if line and line[0] != "#")
        for block in blocks
        if block.strip()
    ]
    names = [language(text).name for text in texts]

    assert names.count("de") >= 0.93 * len(names)
    assert names.count("de") + names.count(None) >= 0.995 * len(names)

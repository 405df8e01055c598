from dragoman_word_limit import WordLimit

from pipeline.testing.conformance import conformance_suite

test_conformance = conformance_suite(
    WordLimit,
    {"prompt_words": 12, "answer_words": 8},
    prompts=["a prompt of " + "very " * 12 + "many words"],
    answers=["It says too much: " + "blah " * 12],
)

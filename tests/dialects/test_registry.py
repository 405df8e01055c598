import pytest

from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.dialects.registry import Dialects, builtin


class Other(OpenAIChat):
    name = "other"
    paths = ("/chat", "/v2/chat")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai.chat"),
        ("/v1/completions", "openai.completions"),
        ("/v1/embeddings", "openai.embeddings"),
        ("/v1/responses", "openai.responses"),
        ("/v1/messages", "anthropic.messages"),
        ("/anthropic/v1/messages", "anthropic.messages"),
        ("/openai/v1/chat/completions", "openai.chat"),
        ("/a/b/v1/embeddings", "openai.embeddings"),
        ("//v1/embeddings", "openai.embeddings"),
    ],
)
def test_a_path_is_known_behind_any_prefix(path, name):
    assert builtin().for_path(path).name == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/models",
        "/v1/chat",
        "/xv1/completions",
        "v1/completions",
        "/completions",
    ],
)
def test_other_paths_speak_no_dialect(path):
    assert builtin().for_path(path) is None


def test_the_longest_known_path_wins():
    class Short(Other):
        name = "short"
        paths = ("/messages",)

    dialects = builtin()
    dialects.add(Short())

    assert dialects.for_path("/x/v1/messages").name == "anthropic.messages"
    assert dialects.for_path("/x/messages").name == "short"


def test_dialects_are_found_by_name_in_the_order_added():
    dialects = Dialects([Other(), OpenAIChat()])

    assert dialects.names == ("other", "openai.chat")
    assert dialects.by_name("other").name == "other"
    assert dialects.by_name("none") is None


def test_a_name_or_path_that_is_taken_is_refused_and_changes_nothing():
    class SamePath(Other):
        name = "same"
        paths = ("/new", "/v2/chat")

    dialects = Dialects([Other()])
    with pytest.raises(ValueError, match="'other' already"):
        dialects.add(Other())
    with pytest.raises(ValueError, match="/v2/chat: 'other' has it"):
        dialects.add(SamePath())

    assert dialects.names == ("other",)
    assert dialects.for_path("/new") is None


@pytest.mark.parametrize(
    "path",
    ["/v1/completions/", "/v1%2Fcompletions", "/%76%31/completions", "/openai/v1/completions/"],
)
def test_other_spellings_of_a_known_path_are_calls_too(path):
    assert builtin().for_path(path).name == "openai.completions"

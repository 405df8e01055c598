"""Variables in decorations, and decorating as a pure function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import Segment
from plugins.prompt_decorator.config import PromptDecoratorConfig
from plugins.prompt_decorator.decorate import decorated
from plugins.prompt_decorator.variables import MissingVariable, checked, fill

_HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["{{tenant}}", "{{header:x|y}}", "{{", "}}", "|", "\\1", "\n", "é"]),
    ),
    max_size=6,
).map("".join)

_ROLES = ("system", "developer", "user", "assistant", "tool")
_KINDS = ("text", "reasoning", "tool_argument", "tool_result", "image")
# `{{` opens a placeholder, so that the config would refuse it.
_CONTENT = st.text(max_size=5).map(lambda text: text.replace("{{", "(("))
_SEGMENTS = st.lists(
    st.builds(Segment, st.sampled_from(_ROLES), st.text(max_size=5), st.sampled_from(_KINDS)),
    max_size=8,
).map(lambda found: [Segment(s.role, s.text, s.kind, ("m", i)) for i, s in enumerate(found)])


@given(a=_HOSTILE, b=_HOSTILE)
def test_values_stand_verbatim_where_their_placeholders_stood(a, b):
    values = {"tenant": a, "header:x-b": b}

    filled = fill("<{{tenant}}|{{ header:x-b | none }}|{{tenant}}>", values.get, None)

    assert filled == f"<{a}|{b}|{a}>"


def test_a_default_stands_for_what_is_missing_before_anything_else_does():
    assert fill("[{{tenant|no one}}] [{{model|}}]", lambda _: None, "?") == "[no one] []"


def test_without_a_default_the_config_says_what_stands_there():
    assert fill("[{{tenant}}]", lambda _: None, "") == "[]"
    with pytest.raises(MissingVariable, match="header:x-team"):
        fill("[{{header:x-team}}]", lambda _: None, None)


@pytest.mark.parametrize("text", ["{{", "{{secret}}", "{{header:}}", "{{tenant", "{{header:a b}}"])
def test_what_opens_no_placeholder_is_an_error(text):
    with pytest.raises(ValueError, match="must open"):
        checked(text)


@pytest.mark.parametrize("name", ["authorization", "Authorization", "x-api-key", "cookie"])
def test_a_credential_cannot_be_a_variable(name):
    with pytest.raises(ValueError, match="credential"):
        checked(f"{{{{header:{name}|none}}}}")


def _config(**options):
    return PromptDecoratorConfig.model_validate(options)


@given(_SEGMENTS, st.sampled_from(_ROLES[:4]), _CONTENT, st.booleans())
def test_replacing_what_a_role_says_twice_is_replacing_it_once(segments, role, text, insert):
    config = _config(replace=[{"role": role, "content": text, "insert": insert}])

    once = decorated(segments, config, lambda content: content)

    assert decorated(once, config, lambda content: content) == once


@given(_SEGMENTS, st.sampled_from(_ROLES[:4]), _CONTENT, st.text(min_size=1, max_size=2))
def test_only_prose_is_ever_touched(segments, role, text, find):
    config = _config(
        replace=[
            {"role": role, "content": text, "find": find},
            {"role": role, "content": text},
        ],
        prepend=[{"role": role, "content": text}],
        append=[{"role": role, "content": text}],
    )

    result = decorated(segments, config, lambda content: content)

    others = [s for s in segments if s.kind != "text"]
    assert [s for s in result if s.kind != "text"] == others


@given(_SEGMENTS)
def test_the_system_s_voice_says_one_text_whatever_it_said(segments):
    config = _config(replace=[{"role": "system", "content": "Only this."}])

    result = decorated(segments, config, lambda content: content)

    voice = [s for s in result if s.kind == "text" and s.role in {"system", "developer"}]
    assert [s.text for s in voice] == ["Only this."]

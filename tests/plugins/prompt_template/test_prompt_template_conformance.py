"""`prompt_template` keeps every rule of the conformance suite."""

from pipeline.testing.conformance import conformance_suite
from plugins.prompt_template import PromptTemplate

_GREETING = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Greet {{name}}."},
    ],
    "variables": {"name": {"type": "string", "default": "everybody"}},
    "params": {"temperature": 0.5},
}

test_conformance = conformance_suite(
    PromptTemplate,
    {"templates": {"greeting": _GREETING}},
    prompts=["{template://greeting}", "{template://of-no-such-name}"],
)
test_strict_conformance = conformance_suite(
    PromptTemplate,
    {"templates": {"greeting": _GREETING}, "only_templates": True},
    prompts=["{template://greeting}"],
)

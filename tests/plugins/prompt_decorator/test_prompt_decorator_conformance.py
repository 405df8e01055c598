"""`prompt_decorator` keeps every rule of the conformance suite."""

from pipeline.testing.conformance import conformance_suite
from plugins.prompt_decorator import PromptDecorator

_CONFIG = {
    "replace": [{"role": "user", "find": "Bluebird", "content": "the engine"}],
    "prepend": [{"role": "system", "content": "Be brief, {{header:x-name|you}}."}],
    "append": [{"role": "user", "content": "{{tenant}} {{route}}"}],
}

test_conformance = conformance_suite(
    PromptDecorator, _CONFIG, prompts=["When does Bluebird fly, and who is with it?"]
)
test_refusing_conformance = conformance_suite(
    PromptDecorator,
    {"append": [{"role": "user", "content": "{{header:x-name}}"}], "on_missing": "refuse"},
)

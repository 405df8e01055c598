"""The tutorials do what they say, command by command."""

from pathlib import Path

import pytest

from tests.support.pages import Block, Reader, commands, missing

pytestmark = [pytest.mark.docs, pytest.mark.e2e]

_TUTORIAL = Path(__file__).parents[2] / "docs/tutorial"


@pytest.mark.usefixtures("curl")
def test_the_first_request_is_answered_as_the_tutorial_says(folder, default_config, ports):
    listen, _, admin = ports
    own = {"127.0.0.1:10000": f"127.0.0.1:{listen}", "127.0.0.1:9902": f"127.0.0.1:{admin}"}

    with Reader(folder, default_config, own) as reader:
        assert reader.follow(_TUTORIAL / "first-request.md") == 7


@pytest.mark.usefixtures("curl")
def test_the_first_plugin_runs_as_the_tutorial_says(folder, environment, demo_port, ports):
    listen, envoy_admin, admin = ports
    own = {
        "127.0.0.1:10000": f"127.0.0.1:{demo_port}",
        "127.0.0.1:10100": f"127.0.0.1:{listen}",
        "127.0.0.1:9911": f"127.0.0.1:{envoy_admin}",
        "127.0.0.1:9912": f"127.0.0.1:{admin}",
    }

    with Reader(folder, environment, own) as reader:
        assert reader.follow(_TUTORIAL / "first-plugin.md") == 16


def test_a_reader_sees_when_an_expected_line_is_missing_or_out_of_order():
    output = "one\n  two words  \nthree\n"

    assert missing(["one", "…two…", "three"], output) is None
    assert missing(["three", "one"], output) == "one"
    assert missing(["two"], output) == "two"


def test_a_console_block_is_commands_with_output_and_status():
    block = Block("console", "", "$ first\nout\n…\n$ second\n[1]\n")

    first, second = commands(block)

    assert (first.line, first.expected, first.status) == ("first", ["out"], 0)
    assert (second.line, second.expected, second.status) == ("second", [], 1)


@pytest.mark.parametrize(
    ("line", "said"), [("echo other", "said"), ("exit 3", "3"), ("dragoman run --nope", "ready")]
)
def test_a_page_that_says_something_else_fails(line, said, folder, environment):
    page = folder / "page.md"
    page.write_text(f"```console\n$ {line}\n{said}\n```\n")

    with Reader(folder, environment, {}) as reader, pytest.raises(AssertionError):
        reader.follow(page)

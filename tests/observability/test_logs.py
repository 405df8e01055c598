import logging

import pytest

from pipeline.observability.logs import configure_logs, get_logger, log_exchange, log_loop_fault


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("ending", "decision", "level"),
    [
        ("completed", "continue", "debug"),
        ("replied", "reply", "debug"),
        ("cancelled", "continue", "debug"),
        ("refused", "refuse", "info"),
        ("failed", "continue", "warning"),
        ("completed", "error", "warning"),
        ("refused", "error", "warning"),
    ],
)
def test_the_level_says_how_an_exchange_went(log_to, lines_of, make, ending, decision, level):
    stream = log_to("debug")
    ended = make.outcome(make.step(decision=decision), ending=ending)
    log_exchange(get_logger(), make.exchange(), ended)
    (line,) = lines_of(stream)
    assert line["level"] == level
    assert line["ending"] == ending


def test_an_exchange_is_one_line_of_facts(log_to, lines_of, make):
    stream = log_to("info")
    shadow = make.step("pii", "rewrite", applied=False)
    refuse = make.step("guard", "refuse", reason="prompt_injection")
    ended = make.outcome(shadow, refuse, ending="refused", status=403)
    log_exchange(get_logger(), make.exchange(), ended)
    (line,) = lines_of(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "exchange",
        "level": "info",
        "request_id": "req-1",
        "route": "chat",
        "tenant": "key-0123",
        "backend": "main",
        "status": 403,
        "ending": "refused",
        "duration_ms": 500.0,
        "overhead_ms": 4.0,
        "plugins": ["pii.on_request=shadow-rewrite", "guard.on_request=refuse"],
        "codes": ["guard: prompt_injection"],
    }


def test_what_is_not_logged_is_not_worded(log_to, make):
    log_to("info")
    # Wording it would read what this one does not have.
    log_exchange(get_logger(), None, make.outcome())


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("warning", 1), ("error", 0)])
def test_the_level_is_kept(log_to, lines_of, level, count):
    stream = log_to(level)
    logger = get_logger()
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    assert len(lines_of(stream)) == count


def test_a_request_id_cannot_forge_or_flood_a_line(log_to, make):
    for format in ("json", "console"):  # noqa: A001
        stream = log_to("debug", format)
        given = make.exchange()
        object.__setattr__(given, "id", "x\r\n2026 [error] forged \x1b[2J\udcff" + "y" * 5000)
        log_exchange(get_logger(), given, make.outcome())
        text = stream.getvalue()
        assert len(text.splitlines()) == 1
        assert "\x1b[2J" not in text
        assert len(text) < 1000
        text.encode()


def test_an_exception_is_its_type_and_place_never_its_text(log_to, lines_of):
    stream = log_to("info")
    error = RuntimeError("secret two")
    error.__cause__ = ValueError("secret one")
    get_logger().error("it failed", exc_info=raised(error))
    (line,) = lines_of(stream)
    assert line["raised"] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert line["at"][-1].endswith(" raised")
    assert "secret" not in stream.getvalue()


def test_an_exception_in_a_circle_of_causes_is_logged(log_to, lines_of):
    stream = log_to("info")
    first, second = raised(ValueError("a")), raised(KeyError("b"))
    first.__cause__, second.__cause__ = second, first
    get_logger().error("it failed", exc_info=first)
    (line,) = lines_of(stream)
    assert line["raised"] == ["builtins.ValueError", "builtins.KeyError"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_libraries_log_to_the_same_stream_without_exception_text(log_to, format):  # noqa: A002
    stream = log_to("info", format)
    error = raised(ValueError("secret"))
    logging.getLogger("some.library").error("it failed", exc_info=error, stack_info=True)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "it failed" in text
    assert "builtins.ValueError" in text
    assert "secret" not in text


def test_libraries_are_not_heard_below_warning(log_to):
    stream = log_to("debug")
    logging.getLogger("some.library").debug("POST /v1 body=secret")
    assert stream.getvalue() == ""


def test_the_default_stream_is_stderr(log_to, capsys):
    log_to("info")  # for its clean-up
    configure_logs("info", "json")
    get_logger().info("here")
    captured = capsys.readouterr()
    assert '"event": "here"' in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("context", "event"),
    [
        ({"message": "Task exception was never retrieved", "task": "secret"}, "Task exception"),
        ({"message": "Exception in callback f('secret')", "handle": "secret"}, "exception in a"),
    ],
)
def test_a_fault_of_the_loop_is_logged_without_what_it_was_doing(log_to, lines_of, context, event):
    stream = log_to("info")
    log_loop_fault(None, {**context, "exception": raised(ValueError("secret"))})
    (line,) = lines_of(stream)
    assert line["event"].startswith(event)
    assert line["raised"] == ["builtins.ValueError"]
    assert "secret" not in stream.getvalue()

"""Mistakes in the cache's options are errors of the config, at their key."""

import pytest

from pipeline.errors import ConfigError
from pipeline.testing.host import Host

PASSWORD = "secret-of-this-test"


@pytest.mark.parametrize(
    ("options", "key", "why"),
    [
        ({"store": "mysql://x"}, "with.store", "there are: memory"),
        ({"store": f"redis://u:{PASSWORD}@/0"}, "with.store", "HOST"),
        ({"ttl": "0s"}, "with.ttl", "greater than 0"),
        ({"ttl": 60}, "with.ttl", "a number and a unit"),
        ({"semantic": {"max_error": "1 in 100"}}, "with.semantic.max_error", "a percentage"),
        ({"semantic": {"max_error": "0%"}}, "with.semantic.max_error", "greater than 0"),
        ({"semantic": {"max_error": "100%"}}, "with.semantic.max_error", "less than 1"),
        ({"scope": "everyone"}, "with.scope", "'tenant' or 'shared'"),
        ({"tags_header": "no header"}, "with.tags_header", "pattern"),
        ({"unheard_of": 1}, "with.unheard_of", ""),
    ],
)
def test_an_option_that_is_wrong_is_named(options, key, why):
    with pytest.raises(ConfigError) as caught:
        Host.of("semantic_cache", options)
    assert key in str(caught.value)
    assert why in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("content", [None, "{", "{}", '{"embedder": "e", "confidence": 0.9}'])
def test_a_calibration_that_is_none_is_named(tmp_path, content):
    file = tmp_path / "calibration.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"calibration\.json"):
        Host.of("semantic_cache", {"semantic": {"calibration": str(file)}})


def test_a_share_is_a_percentage_or_a_number():
    for share in ("2%", 0.02):
        host = Host.of("semantic_cache", {"semantic": {"max_error": share}})
        assert host.plugin().config.semantic.max_error == 0.02


def test_the_stores_password_is_in_no_repr(tmp_path):
    host = Host.of("semantic_cache", {"store": f"redis://u:{PASSWORD}@127.0.0.1:1/0"})
    assert PASSWORD not in repr(host.plugin().config)
    assert PASSWORD not in host.plugin().config.model_dump_json()

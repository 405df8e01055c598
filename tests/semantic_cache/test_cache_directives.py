"""`Cache-Control` of requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.directives import NOTHING, Directives, parse_directives


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], NOTHING),
        (["no-cache"], Directives(no_cache=True)),
        (["No-Cache, NO-STORE"], Directives(no_cache=True, no_store=True)),
        (["only-if-cached", "max-age=60"], Directives(only_if_cached=True, max_age_s=60)),
        (["max-age=0"], Directives(no_cache=True, max_age_s=0)),
        (['max-age="5"'], Directives(max_age_s=5)),
        (["max-age=5, max-age=3"], Directives(max_age_s=3)),
        (["max-age=x, max-age=3"], Directives(max_age_s=3)),
        (["max-age=-1"], NOTHING),
        (["max-age=１"], NOTHING),
        (["max-age=99999999999999999999"], NOTHING),
        (["max-stale=30"], Directives(max_stale_s=30)),
        (["no-transform, x=y, ,=,"], NOTHING),
    ],
)
def test_a_header_says_what_it_says(values, wanted):
    assert parse_directives(values) == wanted


@given(st.lists(st.text()))
def test_nothing_that_a_client_sends_is_an_error(values):
    assert isinstance(parse_directives(values), Directives)

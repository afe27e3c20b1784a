"""Names in raw are those that dlt itself would give, also where dlt is not asked."""

from __future__ import annotations

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import names

PARTS = st.text("aBz09_ -+é.", min_size=1, max_size=12)


@settings(max_examples=3000, deadline=None)
@given(PARTS)
def test_every_name_is_what_dlt_makes_of_it(name: str) -> None:
    if name.strip():
        assert names.snake_case(name) == NamingConvention().normalize_identifier(name)


@pytest.mark.parametrize("name", ["order_id", "a", "_source", "a1", "a_1", "a_b_c"])
def test_dlt_leaves_a_plain_name_as_it_is(name: str) -> None:
    assert names._OWN.fullmatch(name)
    assert NamingConvention().normalize_identifier(name) == name

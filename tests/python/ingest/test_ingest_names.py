"""Names in raw are those that dlt itself would give, also where dlt is not asked."""

from __future__ import annotations

import subprocess
import sys

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


@pytest.mark.parametrize("words", [["--help"], ["load", "--help"], ["status"]])
def test_a_command_that_only_looks_does_not_import_dlt(words: list[str]) -> None:
    code = (
        "import sys; sys.argv[1:] = %r\n"
        "from ops.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('dlt is', 'dlt' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code % (words,)], capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("dlt is False"), done.stdout

"""Our stand-ins say of good and bad rows what the real packages say."""

import re

import duckdb
from planted import PROJECT, ROOT, World


def _said(world: World) -> dict[str, tuple[str, int | None]]:
    return {name: (r["status"], r["failures"]) for name, r in world.results().items()}


def test_every_test_comes_out_the_same(real: World, stand_in: World) -> None:
    expected, found = _said(real), _said(stand_in)
    assert found == expected
    tests = [said for name, said in expected.items() if name.startswith("test.")]
    failed = [said for said in tests if said[0] == "fail"]
    assert len(tests) >= 75
    assert len(failed) >= 35
    assert not [said for said in tests if said[0] == "error"]


def test_they_hold_what_is_used_and_all_they_hold_is_compared() -> None:
    folder = ROOT / "ops" / "standins"
    text = "".join(path.read_text() for path in folder.glob("dbt_expectations/macros/*.sql"))
    held = set(re.findall(r"{% test (expect_\w+)\(", text))
    used, compared = (
        set(re.findall(r"dbt_expectations\.(expect_\w+)", "".join(texts)))
        for texts in (
            [path.read_text() for path in (ROOT / "models").rglob("*.yml")],
            [path.read_text() for path in PROJECT.rglob("*.yml")],
        )
    )
    assert used <= held == compared
    more = len(held) - len(used)
    says = f"{len(held)} tests: the {len(used)} that the models use"
    readme = (folder / "README.md").read_text()
    assert says in readme
    assert f"and {more} for models to come" in readme
    kinds = ("values_to_be_between", "pair_values", "row_count_to_equal_other", "quantile", "mean")
    assert all(any(kind in name for name in used) for kind in kinds)


def test_the_bad_rows_are_found_without_the_real_packages(stand_in: World) -> None:
    """What the faults in ``bad.sql`` come to, counted by hand."""
    said = _said(stand_in)
    counts = {
        "expect_column_values_to_be_between_bad_digit__9__0": 3,
        "expect_column_pair_values_A_to_be_greater_than_B_bad_ended_at__started_at": 2,
        "expect_column_values_to_match_regex_bad_code___k_0_9_": 4,
        "expect_compound_columns_to_be_unique_bad_id__code": 5,
        "unique_combination_of_columns_bad_id__digit": 5,
        "expect_table_row_count_to_equal_other_table_bad_ref_good_.": 1,
    }
    for part, failures in counts.items():
        matches = [result for name, result in said.items() if part in name]
        assert matches == [("fail", failures)], part


def test_spine_and_keys_are_the_same(real: World, stand_in: World) -> None:
    rows = []
    for world in (real, stand_in):
        with duckdb.connect(str(world.warehouse), read_only=True) as con:
            rows.append(con.execute("from spine order by date_day").fetchall())
    assert rows[0] == rows[1]
    assert len(rows[0]) == 32


def test_tables_of_elementary_have_the_same_columns(real: World, stand_in: World) -> None:
    query = """
        select table_name, list((column_name, data_type) order by column_index)
        from duckdb_columns() where schema_name = 'main_elementary' group by 1
    """
    found = []
    for world in (real, stand_in):
        with duckdb.connect(str(world.warehouse), read_only=True) as con:
            found.append(dict(con.execute(query).fetchall()))
    assert len(found[1]) >= 16
    for table, columns in found[1].items():
        if table == "model_run_results":  # the real one ranks runs too; the report does not ask
            assert set(columns) <= set(found[0][table])
        else:
            assert columns == found[0][table], table


def test_anomaly_tests_skip_themselves_and_say_so_once(stand_in: World) -> None:
    path = stand_in.home / "models" / "_anomalies.yml"
    path.write_text("""
models:
  - name: numbers
    data_tests:
      - elementary.volume_anomalies:
          arguments: {timestamp_column: started_at, time_bucket: {period: day, count: 1}}
      - elementary.freshness_anomalies: {arguments: {timestamp_column: started_at}}
    columns:
      - name: amount
        data_tests:
          - elementary.column_anomalies:
              arguments: {column_anomalies: [average], timestamp_column: started_at}
""")
    try:
        said = stand_in.dbt("test", "--select", "numbers")
    finally:
        path.unlink()
    assert "PASS=4" in said  # three tests and the hook that says it
    assert said.count("they need the real Elementary package") == 1
    assert "3 anomaly test(s) skipped" in said

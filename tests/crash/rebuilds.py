"""The scenario of a rebuild: a small project, whose two marts say which build made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
from homes import Home
from streams import MART, MART_YAML, bare_project

from tests.crash.client import Client
from tests.crash.engine import WrongError
from tests.crash.scenario import Scenario

ROWS = 2_000
SOURCES = """sources:
  - name: shop
    schema: raw_shop
    config: {meta: {ingest: {kind: files, path: "env:SHOP_DROP"}}}
    tables:
      - name: lines
        config: {meta: {ingest: {files: "*.csv", primary_key: [line_id]}}}
        columns:
          - {name: line_id, data_type: bigint, config: {meta: {required: true}}}
          - {name: amount, data_type: "decimal(10,2)", config: {meta: {required: true}}}
"""
MARTS = ("fct_lines", "fct_lines_1")
MADE = "dbt: model fct_"
"""The points at which a mart is made in the copies."""
BUILT = "'{{ invocation_id }}' as built_by,\n    _load_number"
STAGING = """{{ config(unique_key=['line_id']) }}

with source as (
    {{ newest_versions(
        source('shop', 'lines'), key=['line_id'], staged=this if is_incremental() else none
    ) }}
)

select
    line_id,
    amount,
    _load_number,
    '{{ invocation_id }}' as built_by,
    _superseded_count,
    _repeated_count
from source
"""
SUM = "select count(*), sum(amount), min(built_by), max(built_by) from {}"


def project(path: Path) -> Path:
    """A staging model and two marts, each of which says which build made it."""
    mart = MART.replace("    sent_at,\n", "").replace("_load_number", BUILT)
    told = MART_YAML.replace(
        "name: sent_at, data_type: timestamp", "name: built_by, data_type: varchar"
    )
    models = {"staging/_shop__sources.yml": SOURCES, "staging/stg_shop__lines.sql": STAGING}
    for name in MARTS:
        models |= {f"marts/{name}.sql": mart, f"marts/{name}.yml": told.replace("fct_lines", name)}
    # not our stand-ins: where there are the real ones a run would install those, outside all points
    return bare_project(path, "shop", "lines", models, stand_ins=False)


class Rebuild(Scenario):
    """A run, then a rebuild of what was spoilt in staging."""

    name = "rebuild"
    steps = ("first run", "rebuild of what was spoilt")
    # what nothing else passes, or means something else here
    own = ("ops.rebuild.", "ops.swap.", "ops.publish.copy", "ops.publish.settle", MADE)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._project = project(folder / "project")

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.path, self._project, {"SHOP_DROP": str(self.path / "drop")})

    def change(self, step: int, client: Client) -> None:
        if not step:
            (self.path / "drop").mkdir(parents=True)
            lines = "".join(f"{number},{number}.50\n" for number in range(ROWS))
            (self.path / "drop" / "lines.csv").write_text(f"line_id,amount\n{lines}")
            return
        with duckdb.connect(str(self.home.warehouse)) as con:
            con.execute("update staging.stg_shop__lines set amount = -1 where line_id < 10")

    def command(self, step: int) -> list[str]:
        return ["millrace", *(("rebuild", "shop.lines") if step else ("run", "--quick"))]

    def env(self) -> Mapping[str, str]:
        return self.home.environment()

    def cwd(self, step: int) -> Path:
        return self._project

    def scratch(self) -> Path:
        return self.path / ".millrace" / "dev"

    def _seen(self) -> str:
        """The build that made what readers see, which is whole."""
        try:
            both = {
                self.home.published(SUM.format(mart))[0] for mart in ("fct_lines", "fct_lines_1")
            }
        except duckdb.Error as error:
            raise WrongError(f"the snapshot cannot be read: {error}") from None
        assert len(both) == 1, f"a mix: {both}"
        ((count, total, first, last),) = both
        assert (count, total, first) == (ROWS, ROWS * ROWS / 2, last), f"not whole: {both}"
        return str(last)

    def between(self, step: int) -> None:
        if self.home.snapshot.exists():
            self._seen()
        if step and not (self.path / "history" / "dev" / "rewind.json").exists():
            self._of_one_build()

    def _of_one_build(self) -> tuple[str, int]:
        """The build that made staging and marts, and how many lines are spoilt."""
        ((staged, spoilt, mart),) = self.home.query(
            "select min(built_by), count(*) filter (amount < 0), "
            "(select max(built_by) from marts.fct_lines) from staging.stg_shop__lines"
        )
        assert staged == mart, "staging and marts are of two builds"
        return str(staged), int(spoilt)

    def check(self, step: int) -> int:
        assert self._of_one_build() == (self._seen(), 0)
        left = [path.name for path in self.home.warehouse.parent.glob("*.re*")]
        assert not left, f"left beside the warehouse: {left}"
        return 3 * ROWS

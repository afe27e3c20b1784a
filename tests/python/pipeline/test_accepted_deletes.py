"""A comparison that would delete much, as a person meets it: exit code 3, and the way on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from homes import PROJECT, Home

SHOP = PROJECT / "tests/python/models/shop_project"


def test_it_asks_and_is_accepted_once(tmp_path: Path) -> None:
    project, path = tmp_path / "project", tmp_path / "shop.sqlite"
    shutil.copytree(SHOP, project)
    declared = project / "models/staging/shop/_shop__sources.yml"
    often = "deletes: compare\n              compare_every: 0 days"
    declared.write_text(declared.read_text().replace("deletes: compare", often))
    home = Home(tmp_path / "home", project, {"DB": f"sqlite:///{path}"})

    def orders(sql: str) -> None:
        with closing(sqlite3.connect(path)) as con, con:
            con.execute(sql)

    def alive() -> int:
        rows = "count(*) filter (where _deleted is null) - count(*) filter (where _deleted)"
        return int(home.query(f"select {rows} from raw_shop.orders")[0][0])

    orders("create table orders (order_id, customer_id, ordered_on, amount, updated_at)")
    orders(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < 99) "
        "insert into orders select i, 1, '2017-01-01', 1, '2017-01-01 00:00:00' from n"
    )
    assert home.millrace("load").code == 0
    orders("delete from orders where order_id < 30")
    asked = home.millrace("load")
    assert asked.code == 3
    assert "30 of 100 rows of shop.orders are gone" in asked.text
    command = "millrace load shop.orders --accept-deletes"
    assert command in asked.text
    assert alive() == 100
    refused = home.millrace("load", "shop", "--accept-deletes")
    assert refused.code == 2
    assert command in refused.text
    assert home.millrace(*command.split()[1:]).code == 0
    assert alive() == 70

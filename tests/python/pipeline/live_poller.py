"""A reader of live lines: `python live_poller.py SNAPSHOT STOP`, every 10 ms until STOP is there.

Prints how many looks it had, the different (settled, unsettled) counts that it saw in their order,
and what was wrong with any of them, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import duckdb

LOOK = """
select
    count(*) filter (is_settled),
    count(*) filter (not is_settled),
    count(*) - count(distinct (basket_id, product_id)) as doubled,
    (select count(*) from fct_basket_lines as f anti join live_basket_lines as l
        on l.basket_id = f.basket_id and l.product_id = f.product_id
        and l.sales_amount = f.sales_amount and l.is_settled) as missing
from live_basket_lines
"""


def main(path: Path, stop: Path) -> None:
    """Look until told to stop."""
    looks, seen, faults = 0, list[tuple[int, int]](), list[str]()
    while not stop.exists():
        try:
            with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as con:
                settled, unsettled, doubled, missing = con.execute(LOOK).fetchall()[0]
            if doubled or missing:
                faults.append(f"{doubled} lines twice, {missing} settled ones missing")
            if not seen or seen[-1] != (settled, unsettled):
                seen.append((settled, unsettled))
        except Exception as error:
            faults.append(str(error).splitlines()[0])
        looks += 1
        time.sleep(0.01)
    print(json.dumps({"looks": looks, "seen": seen, "faults": faults[:3]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

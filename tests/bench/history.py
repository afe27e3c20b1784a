"""The tills with a long history, and 10 000 new lines whenever they are asked for.

`python -m tests.bench.history HOME TIMES` starts the sample at the end of its year below HOME and
puts TIMES - 1 further copies of every line beside it: the same day and store, other baskets.
"""

import contextlib
import sqlite3
import sys
from datetime import date
from pathlib import Path

LAST_DAY = date(2017, 12, 31)
_APART = 10**12  # more than any basket's number: what keeps the copies apart
_SOLD = 1000 * _APART  # the copies end below; from here on, what `sell` brings
_COLUMNS = (
    "household_id, store_id, {basket}, product_id, quantity, sales_value, retail_disc, "
    "coupon_disc, coupon_match_disc, week, transaction_timestamp, {updated}"
)


def start(home: Path, times: int) -> int:
    """Start the sample at the year's end with so many times its history; the number of lines."""
    from sample import Retailer

    Retailer(home / "sample_data").start(LAST_DAY)
    into = "household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, "
    into += "coupon_disc, coupon_match_disc, week, transaction_timestamp, updated_at"
    with contextlib.closing(_tills(home)) as tills:
        for copy in range(1, times):
            chosen = _COLUMNS.format(basket=f"basket_id + {copy * _APART}", updated="updated_at")
            tills.execute(
                f"insert into transactions ({into}) select {chosen} from transactions "
                f"where basket_id < {_APART}"
            )
            tills.commit()
        return int(tills.execute("select count(*) from transactions").fetchone()[0])


def sell(home: Path, rows: int) -> None:
    """Bring `rows` new lines to the tills: the last ones sold, again in baskets of their own.

    Each delivery has other baskets and a later `updated_at` than the one before.

    Args:
        home: as given to `start`.
        rows: how many lines.
    """
    with contextlib.closing(_tills(home)) as tills:
        last = tills.execute("select max(basket_id) from transactions").fetchone()[0]
    number = max(0, last - _SOLD) // _APART + 1
    basket = f"basket_id + {_SOLD + number * _APART}"
    updated = f"datetime('{LAST_DAY} 12:00:00', '+{number} days')"
    chosen = _COLUMNS.format(basket=basket, updated=updated)
    with contextlib.closing(_tills(home)) as tills:
        tills.execute(
            f"insert into transactions select {chosen} from transactions "
            f"where basket_id < {_APART} and quantity >= 0 and sales_value >= 0 "
            "and store_id is not null and household_id is not null "
            "and typeof(quantity) = 'integer' and transaction_timestamp is not null "
            f"order by updated_at desc, basket_id, product_id limit {rows}"
        )
        tills.commit()


def _tills(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "sample_data" / "till.sqlite")


if __name__ == "__main__":
    print(start(Path(sys.argv[1]), int(sys.argv[2])))

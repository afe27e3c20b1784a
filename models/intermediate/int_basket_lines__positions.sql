-- Raw keeps every version of a line, so it knows where a corrected line stood before.
select
    basket_id,
    product_id,
    household_id,
    store_id,
    week as week_number,
    cast(transaction_timestamp as date) as sold_on
from {{ source('pos', 'transactions') }}

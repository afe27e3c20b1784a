select
    basket_id,
    product_id,
    household_id,
    store_id,
    transaction_timestamp as sold_at,
    _load_number
from {{ source('scanner', 'scans') }}
where _load_number in ({{ finished_loads(source('scanner', 'scans')) }})

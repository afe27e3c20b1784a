{{ config(unique_key=['basket_id', 'product_id']) }}

with source as (
    {{ newest_versions(
        source('scanner', 'scans'),
        key=['basket_id', 'product_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
        deletes=true,
    ) }}
)

select
    basket_id,
    product_id,
    household_id,
    store_id,
    sales_value as sales_amount,
    transaction_timestamp as sold_at,
    updated_at,
    _is_deleted as is_deleted,
    _load_number,
    _superseded_count,
    _repeated_count
from source

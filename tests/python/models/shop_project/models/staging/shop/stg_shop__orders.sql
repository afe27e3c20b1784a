{{ config(unique_key='order_id') }}

with source as (
    {{ newest_versions(
        source('shop', 'orders'),
        key=['order_id'],
        version='updated_at',
        staged=this if is_incremental() else none,
        deletes=true,
    ) }}
)

select
    order_id,
    customer_id,
    ordered_on,
    amount,
    updated_at,
    _is_deleted as is_deleted,
    _load_number,
    _superseded_count,
    _repeated_count
from source

{% snapshot products_history %}
{{ config(unique_key='product_id', strategy='timestamp', updated_at='changed_at') }}

select
    product_id,
    manufacturer_id,
    department,
    brand,
    product_category,
    product_type,
    package_size,
    -- what the source does not date counts as the oldest, as in staging
    coalesce(updated_at, timestamp '1970-01-01 00:00:00') as changed_at
from {{ ref('stg_pos__products') }}
{% endsnapshot %}

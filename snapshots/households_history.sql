{% snapshot households_history %}
{{ config(unique_key='household_id', strategy='timestamp', updated_at='changed_at') }}

select
    household_id,
    age_range,
    income_range,
    home_ownership,
    marital_status,
    household_size,
    household_composition,
    kids_count_range,
    -- what the source does not date counts as the oldest, as in staging
    coalesce(updated_at, timestamp '1970-01-01 00:00:00') as changed_at
from {{ ref('stg_pos__households') }}
{% endsnapshot %}

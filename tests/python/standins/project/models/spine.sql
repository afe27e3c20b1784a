select
    cast(date_day as date) as date_day,
    {{ dbt_utils.generate_surrogate_key(['date_day', 'nullif(1, 1)']) }} as day_key
from ({{ dbt_utils.date_spine('day', "cast('2024-01-30' as date)", "cast('2024-03-02' as date)") }}) as days

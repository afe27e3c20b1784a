with days as (
    {{ dbt_utils.date_spine(
        datepart='day',
        start_date="cast('" ~ var('first_date') ~ "' as date)",
        end_date="cast('" ~ var('last_date') ~ "' as date)",
    ) }}
),

numbered as (
    select
        cast(date_day as date) as date_on,
        cast(extract(year from date_day) as integer) as year_number,
        cast(extract(quarter from date_day) as integer) as quarter_number,
        cast(extract(month from date_day) as integer) as month_number,
        cast(date_trunc('month', date_day) as date) as month_started_on,
        cast(date_trunc('week', date_day) as date) as week_started_on,
        cast({{ datediff("date_trunc('week', date_day)", 'date_day', 'day') }} as integer) -- noqa: LT05
        + 1 as day_of_week_number
    from days
),

dim_dates as (
    select
        *,
        day_of_week_number >= 6 as is_weekend
    from numbered
)

select * from dim_dates

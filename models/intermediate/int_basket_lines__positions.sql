with versions as (
    select * from {{ source('pos', 'transactions') }}
),

int_basket_lines__positions as (
    select
        basket_id,
        product_id,
        household_id,
        store_id,
        week as week_number,
        cast(transaction_timestamp as date) as sold_on
    from versions
)

select * from int_basket_lines__positions

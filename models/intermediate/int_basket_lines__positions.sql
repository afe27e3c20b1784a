with versions as (
    select * from {{ source('pos', 'transactions') }}
),

newest as (
    select * from {{ ref('stg_pos__transactions') }}
),

int_basket_lines__positions as (
    select
        versions.basket_id,
        versions.product_id,
        versions.household_id,
        versions.store_id,
        versions.week as week_number,
        cast(versions.transaction_timestamp as date) as sold_on,
        newest._load_number
    from versions
    inner join newest
        on
            versions.basket_id = newest.basket_id
            and versions.product_id = newest.product_id
)

select * from int_basket_lines__positions

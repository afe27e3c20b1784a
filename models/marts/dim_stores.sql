with sales as (
    select
        store_id,
        min(sold_on) as first_sale_on,
        max(sold_on) as last_sale_on
    from {{ ref('fct_daily_store_sales') }}
    group by store_id
),

promotions as (
    select distinct store_id from {{ ref('stg_promo__promotions') }}
),

dim_stores as (
    select
        coalesce(sales.store_id, promotions.store_id) as store_id,
        sales.store_id is not null as has_sales,
        promotions.store_id is not null as has_promotions,
        sales.first_sale_on,
        sales.last_sale_on
    from sales
    full outer join promotions on sales.store_id = promotions.store_id
)

select * from dim_stores

-- The open version of each product and household is as new as the one in staging. A change that
-- the source did not date later than the last is no version: raw and staging have it, no history.
with products as (
    select staged.product_id as member_id
    from {{ ref('stg_pos__products') }} as staged
    left join {{ ref('products_history') }} as history
        on
            staged.product_id = history.product_id
            and history.dbt_valid_to is null
    where
        history.product_id is null
        or coalesce(staged.updated_at, timestamp '1970-01-01 00:00:00') > history.changed_at
),

households as (
    select staged.household_id as member_id
    from {{ ref('stg_pos__households') }} as staged
    left join {{ ref('households_history') }} as history
        on
            staged.household_id = history.household_id
            and history.dbt_valid_to is null
    where
        history.household_id is null
        or coalesce(staged.updated_at, timestamp '1970-01-01 00:00:00') > history.changed_at
)

select member_id from products
union all
select member_id from households

-- The open version of each product and household is the one in staging.
with products as (
    select
        staged.product_id as member_id,
        history.product_id is null as is_missing
    from {{ ref('stg_pos__products') }} as staged
    left join {{ ref('products_history') }} as history
        on
            staged.product_id = history.product_id
            and history.dbt_valid_to is null
            and staged.department is not distinct from history.department
            and staged.product_category is not distinct from history.product_category
),

households as (
    select
        staged.household_id as member_id,
        history.household_id is null as is_missing
    from {{ ref('stg_pos__households') }} as staged
    left join {{ ref('households_history') }} as history
        on
            staged.household_id = history.household_id
            and history.dbt_valid_to is null
            and staged.income_range is not distinct from history.income_range
)

select *
from products
where is_missing
union all
select *
from households
where is_missing

-- Dollars per store and week with a promotion against those without, by department.
with performance as (
    select * from {{ ref('product_performance') }}
)

select
    department,
    sum(sales_amount) as sales_amount,
    sum(promoted_sales_amount) / nullif(sum(promoted_store_count), 0) as promoted_sales_per_store,
    sum(sales_amount - promoted_sales_amount)
    / nullif(sum(store_count - promoted_store_count), 0) as other_sales_per_store
from performance
group by department
order by sales_amount desc

{#- One select: the lines of a staging model of baskets as `fct_basket_lines` has them.

    lines    the relation: one row per basket and product
    load     SQL: the load of the tills' database that brought the line -#}
{% macro basket_lines(lines, load='_load_number') %}
    select
        basket_id,
        product_id,
        household_id,
        store_id,
        week_number,
        quantity,
        sales_amount,
        coalesce(retail_discount_amount, 0) as retail_discount_amount,
        coalesce(coupon_discount_amount, 0) as coupon_discount_amount,
        coalesce(coupon_match_discount_amount, 0) as coupon_match_discount_amount,
        case
            when quantity > 0 then null
            when coupon_discount_amount > 0 then 'coupon'
            when sales_amount > 0 then 'money_without_count'
            when retail_discount_amount > 0 then 'given_away'
            else 'nothing_sold'
        end as zero_quantity_reason,
        sold_at,
        cast(sold_at as date) as sold_on,
        {{ load }} as _load_number
    from {{ lines }}
{%- endmacro %}

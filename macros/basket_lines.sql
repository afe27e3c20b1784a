{#- One select: the lines of baskets as the marts have them, of staged ones; the till database and the
    tills' scans stage the same columns.

    staged  name of a relation of staged lines
    more    list of further columns of it -#}
{% macro basket_lines(staged, more=[]) %}
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
        _load_number
        {%- for column in more %},
        {{ column }}
        {%- endfor %}
    from {{ staged }}
{% endmacro %}

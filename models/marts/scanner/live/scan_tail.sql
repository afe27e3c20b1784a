{#- What is settled or deleted leaves. Rows of the newest load stay: they say how far this is. -#}
{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['basket_id', 'product_id'],
    post_hook="
        delete from {{ this }} as told
        where
            _load_number < (select max(_load_number) from {{ this }})
            and (
                is_deleted
                or exists (
                    select 1 from {{ ref('fct_basket_lines') }} as settled
                    where
                        settled.basket_id = told.basket_id
                        and settled.product_id = told.product_id
                )
            )
    ",
) }}

with versions as (
    select * from {{ ref('int_scans__versions') }}
),

scans as (
    select scans.* from {{ ref('stg_scanner__scans') }} as scans
    {% if is_incremental() %}
    inner join (
        select distinct basket_id, product_id from versions
        where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
    ) as told on scans.basket_id = told.basket_id and scans.product_id = told.product_id
    {% endif %}
),

scan_tail as (
    {{ basket_lines('scans', more=['is_deleted']) }}
)

select * from scan_tail

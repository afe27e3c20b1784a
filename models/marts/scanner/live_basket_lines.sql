{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['basket_id', 'product_id'],
    post_hook='delete from {{ this }} where is_settled is null',
) }}

with settled as (
    {{ basket_lines(ref('fct_basket_lines')) }}
),

scans as (
    select * from {{ ref('stg_scanner__scans') }}
),

-- What either side told of since the last build.
touched as (
    select
        basket_id,
        product_id
    from settled
    {% if is_incremental() %}
    where _load_number > (select coalesce(max(_load_number), 0) from {{ this }})
    {% endif %}
    union
    select
        basket_id,
        product_id
    from scans
    {% if is_incremental() %}
    where _load_number > (select coalesce(max(_scan_load_number), 0) from {{ this }})
    {% endif %}
),

scanned as (
    {{ basket_lines('scans', load='cast(null as bigint)') }}
),

live_basket_lines as (
    select
        settled.*,
        true as is_settled,
        scans._load_number as _scan_load_number
    from touched
    inner join settled
        on touched.basket_id = settled.basket_id and touched.product_id = settled.product_id
    left join scans
        on settled.basket_id = scans.basket_id and settled.product_id = scans.product_id

    union all

    -- A line that was taken back comes without is_settled, and goes by the post-hook.
    select
        scanned.*,
        case when not scans.is_deleted then false end as is_settled,
        scans._load_number as _scan_load_number
    from touched
    inner join scans
        on touched.basket_id = scans.basket_id and touched.product_id = scans.product_id
    inner join scanned
        on scans.basket_id = scanned.basket_id and scans.product_id = scanned.product_id
    where
        not exists (
            select 1 from settled
            where settled.basket_id = scans.basket_id and settled.product_id = scans.product_id
        )
)

select * from live_basket_lines

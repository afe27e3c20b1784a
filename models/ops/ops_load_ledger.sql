{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['source_name', 'load_number'],
    post_hook="delete from {{ this }} where (source_name, load_number) not in (
        select (source_name, load_number) from {{ ref('ops_loads') }} where is_finished
    )",
) }}

with book as (
    select * from {{ ref('ops_loads') }}
    where is_finished
),

-- quick builds leave alone what was found right before: nothing writes to a load again
loads as (
    select distinct
        book.source_name,
        book.load_number
    from book
    {% if is_incremental() and not var('all_rows') %}
    left join {{ this }} as seen
        on
            book.source_name = seen.source_name
            and book.table_name = seen.table_name
            and book.load_number = seen.load_number
            and book._dlt_load_id = seen._dlt_load_id
            and seen.is_balanced
    where seen.load_number is null
    {% endif %}
),

told as (
    select book.*
    from book
    inner join loads using (source_name, load_number)
),

contents as (
    {{ raw_contents('loads') }}
),

accepted as (
    select * from contents
    where not is_dead
),

dead as (
    select * from contents
    where is_dead
),

compared as (
    select
        source_name,
        table_name,
        load_number,
        told._dlt_load_id,
        told.run_id,
        coalesce(told.rows_fetched, 0) as rows_fetched,
        coalesce(told.rows_reread, 0) as rows_reread,
        coalesce(told.rows_read, 0) as rows_read,
        coalesce(told.rows_accepted, 0) as rows_accepted,
        coalesce(told.rows_dead, 0) as rows_dead,
        coalesce(accepted.row_count, 0) as rows_in_raw,
        coalesce(dead.row_count, 0) as dead_in_raw,
        told.checksum,
        told.dead_checksum,
        -- another version of the engine may hash otherwise: then only the numbers are compared
        case
            when split_part(told.checksum, ':', 1) = version()
                then version() || ':' || coalesce(accepted.checksum, '0')
        end as checksum_now,
        case
            when split_part(told.dead_checksum, ':', 1) = version()
                then version() || ':' || coalesce(dead.checksum, '0')
        end as dead_checksum_now
    from told
    full outer join accepted using (source_name, table_name, load_number)
    full outer join dead using (source_name, table_name, load_number)
),

ops_load_ledger as (
    select
        *,
        {{ load_difference() }} as difference
    from compared
)

select
    *,
    difference = '' as is_balanced
from ops_load_ledger

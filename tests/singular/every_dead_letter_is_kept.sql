-- The dead rows that the book of loads counts are the dead letters of that load.
with loads as (
    select * from {{ ref('ops_loads') }}
    where is_finished
),

letters as (
    select
        source_name,
        table_name,
        load_number,
        count(*) as letter_count
    from {{ ref('ops_dead_letters') }}
    group by source_name, table_name, load_number
)

select
    loads.source_name,
    loads.table_name,
    loads.load_number,
    loads.rows_dead,
    coalesce(letters.letter_count, 0) as letter_count
from loads
left join letters
    on
        loads.source_name = letters.source_name
        and loads.table_name = letters.table_name
        and loads.load_number = letters.load_number
where loads.rows_dead <> coalesce(letters.letter_count, 0)

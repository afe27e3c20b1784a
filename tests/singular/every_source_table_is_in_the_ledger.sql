{{ config(severity='warn') }}

-- A table that ingest loads and that ops_row_ledger does not hold against its staging model. Name
-- it in the list at the top of models/ops/ops_row_ledger.sql.
with ledger as (
    select * from {{ ref('ops_row_ledger') }}
),

declared as (
    {%- for table in (graph.sources.values() if execute else []) if table.source_meta.ingest %}
    select
        '{{ table.source_name }}' as source_name,
        '{{ table.name }}' as table_name
    union all
    {%- endfor %}
    select
        'none' as source_name,
        'none' as table_name
)

select declared.*
from declared
left join ledger
    on
        declared.source_name = ledger.source_name
        and declared.table_name = ledger.table_name
where ledger.rows_staged is null and declared.table_name <> 'none'

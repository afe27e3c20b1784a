-- Every row fetched has a fate; raw holds what each load brought, to the value; and all that raw
-- accepted is staged, or an older version, or a repeat.
select
    source_name || '.' || table_name as table_name,
    load_number,
    difference
from {{ ref('ops_load_ledger') }}
where not is_balanced

union all

select
    source_name || '.' || table_name as table_name,
    newest_load_number as load_number,
    'raw accepted ' || rows_accepted || ' rows; staging has ' || rows_staged || ', '
    || rows_superseded || ' older versions and ' || rows_repeated || ' repeats' as difference
from {{ ref('ops_row_ledger') }}
where rows_accepted <> rows_staged + rows_superseded + rows_repeated

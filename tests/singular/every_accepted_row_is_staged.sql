-- All that raw accepted is staged, or an older version, or the same version again.
select
    source_name || '.' || table_name as table_name,
    newest_load_number as load_number,
    'raw accepted ' || rows_accepted || ' rows; staging has ' || rows_staged || ', '
    || rows_superseded || ' older versions and ' || rows_repeated || ' repeats' as difference
from {{ ref('ops_row_ledger') }}
where rows_accepted <> rows_staged + rows_superseded + rows_repeated

-- Every row fetched has a fate, and raw holds what each load brought, to the value.
select
    source_name || '.' || table_name as table_name,
    load_number,
    difference
from {{ ref('ops_load_ledger') }}
where not is_balanced

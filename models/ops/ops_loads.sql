with book as (
    {{ over_sources(
        '_loads',
        'load_number, table_name, run_id, rows_fetched, rows_reread, rows_read, rows_accepted, '
        ~ 'rows_dead, bytes, seconds, cursor_from, cursor_to, extracted_at, _dlt_load_id',
        later=['checksum', 'dead_checksum'],
    ) }}
),

closed as (
    {{ over_sources('_dlt_loads', 'load_id, status') }}
),

ops_loads as (
    select
        book.source_name,
        book.table_name,
        book.load_number,
        book.run_id,
        book.cursor_from,
        book.cursor_to,
        book.rows_fetched,
        book.rows_reread,
        book.rows_read,
        book.rows_accepted,
        book.rows_dead,
        book.checksum,
        book.dead_checksum,
        book.bytes,
        book.seconds,
        closed.load_id is not null as is_finished,
        book.extracted_at,
        book._dlt_load_id
    from book
    left join closed
        on
            book.source_name = closed.source_name
            and book._dlt_load_id = closed.load_id
            and closed.status = 0
)

select * from ops_loads

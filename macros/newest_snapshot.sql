{#- One select: the rows of the newest whole snapshot in a raw table that is replaced, counting
    finished loads only. A replayed row belongs to the snapshot that it was read with.

    Besides the raw columns: _superseded_count (rows of all older snapshots; one row tells of them
    all, the others say 0, so that the ledger can add them up) and _repeated_count (0: a snapshot
    that says the same again is not loaded). -#}
{% macro newest_snapshot(raw) %}
    with finished as (
        select
            v.*,
            coalesce(_replayed_from, _load_number) as _snapshot_number
        from {{ raw }} as v
        where _load_number in ({{ finished_loads(raw) }})
    ),

    counted as (
        select count(*) as row_count, max(_snapshot_number) as newest
        from finished
    ),

    newest as (
        select
            v.*,
            row_number() over (order by {{ row_md5('v', raw) }}) as _place,
            count(*) over () as _row_count
        from finished as v
        where _snapshot_number = (select newest from counted)
    )

    select
        *,
        case when _place = 1 then (select row_count from counted) - _row_count else 0 end
            as _superseded_count,
        0 as _repeated_count
    from newest
{% endmacro %}

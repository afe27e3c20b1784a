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

    ranked as (
        select
            v.*,
            dense_rank() over (order by _snapshot_number desc) as _age,
            row_number() over (order by _snapshot_number desc, {{ row_md5('v', raw) }}) as _place,
            count(*) over () - count(*) over (partition by _snapshot_number) as _older_count
        from finished as v
    )

    select
        *,
        case when _place = 1 then _older_count else 0 end as _superseded_count,
        0 as _repeated_count
    from ranked
    where _age = 1
{% endmacro %}

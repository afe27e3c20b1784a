{#- One select: the newest version of each key in a raw table, counting finished loads only.

    raw      the source() relation
    key      list of columns that name a row
    version  column whose greatest value is the newest; null is the oldest. Without one, the
             order of the loads decides.
    staged   the table built so far. Given, only keys that newer loads touch are looked at, but
             all their versions in raw: so an increment cannot differ from a full refresh.
    deletes  true for a table that declares `deletes`. What was read after a tombstone ranks above
             it and all before it, whatever its version: the source has the row again. A deleted row
             stays, as its tombstone, with _is_deleted true.
    arrival  column that orders the rows of one load, where they have an order: _offset of a topic.

    Besides the raw columns: _superseded_count (older versions passed over) and _repeated_count
    (the same version delivered again). Only keys that raw has more than once are ranked: the md5
    that breaks the last tie would cost more than all the rest on 21 million rows. -#}
{% macro newest_versions(raw, key, version=none, staged=none, deletes=false, arrival=none) %}
    {%- do agree_on_deletes(raw, deletes) -%}
    {%- set same_key -%}
        {%- for column in key %}few.{{ column }} = v.{{ column }}{{ ' and ' if not loop.last }}{% endfor -%}
    {%- endset %}
    {%- set same_version = (key + ([version] if version else []) + (['_is_deleted'] if deletes else [])) | join(', ') %}
    with finished as (
        {{ finished_loads(raw) }}
    ),

    {% if staged %}
    few as (
        select distinct {{ key | join(', ') }}
        from {{ raw }}
        where _load_number in (
            select load_number
            from finished
            where load_number > (select coalesce(max(_load_number), 0) from {{ staged }})
        )
    ),
    {% endif %}

    versions as (
        select v.* {%- if deletes %}, coalesce(v._deleted, false) as _is_deleted{% endif %}
        from {{ raw }} as v
        {% if staged %}inner join few on {{ same_key }}{% endif %}
        where v._load_number in (select load_number from finished)
    ),

    many as (
        select {{ key | join(', ') }} from versions group by {{ key | join(', ') }} having count(*) > 1
    ),

    told as (
        select
            v.*
            {%- if deletes %},
            -- how often the row had died by then
            sum(case when _is_deleted then 1 else 0 end) over (
                partition by {{ key | join(', ') }}
                order by coalesce(_replayed_from, _load_number) {{- ', ' ~ arrival if arrival }}
            ) as _deaths
            {%- endif %}
        from versions as v
        where exists (select 1 from many as few where {{ same_key }})
    ),

    ranked as (
        select
            v.*,
            count(*) over (partition by {{ key | join(', ') }})
            - count(*) over (partition by {{ same_version }}) as _superseded_count,
            count(*) over (partition by {{ same_version }}) - 1 as _repeated_count,
            row_number() over (
                partition by {{ key | join(', ') }}
                order by
                    {% if deletes %}_deaths desc, _is_deleted,{% endif %}
                    {% if version %}{{ version }} desc nulls last,{% endif %}
                    coalesce(_replayed_from, _load_number) desc, {{- ' ' ~ arrival ~ ' desc, _load_number desc,' if arrival }} _source desc,
                    {{ row_md5('v', raw) }} desc, _load_number desc
            ) as _rank
        from told as v
    )

    select v.*, {%- if deletes %} 0 as _deaths,{% endif %} 0 as _superseded_count, 0 as _repeated_count, 1 as _rank
    from versions as v
    where not exists (select 1 from many as few where {{ same_key }})
    union all
    select *
    from ranked
    where _rank = 1
{% endmacro %}

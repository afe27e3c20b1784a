{#- Every staged row is a row of raw, and every key of raw is staged: none is lost, doubled or altered.
    Both tables are compared by load, by their number of rows and checksum. They differ where versions
    were superseded or repeated, and where something is wrong: the keys of such loads are looked up in
    raw. In quick builds (var all_rows) only loads that no good build has taken.

    raw      the source
    key      columns that name a staged row; none where the newest snapshot is staged
    columns  column of the model to the SQL that makes it of a row of raw; of the same name where it is
             not given -#}
{% test staged_from(model, raw, key=[], columns={}) %}
    {%- set made, loads = {}, [] -%}
    {%- for column in (adapter.get_columns_in_relation(model) if execute else [])
            if column.name not in ('_superseded_count', '_repeated_count') -%}
        {%- set told = columns.get(column.name, column.name) -%}
        {%- do made.update({column.name: 'cast(' ~ told ~ ' as ' ~ column.dtype ~ ')'}) -%}
    {%- endfor -%}
    {%- for source in (graph.sources.values() if execute else [])
            if source.schema == raw.schema and source.identifier == raw.identifier -%}
        {%- do loads.extend([source.source_name, source.name]) -%}
    {%- endfor -%}
    {%- set names, named = made | join(', '), key or made.keys() | list -%}
    {%- set names_of_a = 'a.' ~ made | join(', a.') -%}
    {%- set is_fresh = fresh_loads(loads) -%}
    {%- set same -%}
        {%- for name in named %}a.{{ name }} = b.{{ name }}{{ ' and ' if not loop.last }}{% endfor -%}
    {%- endset -%}
    {#- raw is asked for the rows of a few loads, by a list of finished ones: by two bounds alone, DuckDB
        reads all of it, and by a list of unknown length it puts all of it into a hash table -#}
    {%- set there -%}(
        select {% for name, told in made.items() %}{{ told }} as {{ name }}{{ ', ' if not loop.last }}{% endfor %}
        from {{ raw }}
        where _load_number in (select _load_number from finished where <these>)
    ) as a{%- endset %}
    {%- set those_of = '_load_number between (select min(_load_number) from <loads>) and (select max(_load_number) from <loads>)' -%}
    {%- set there_in_off = there | replace('<these>', '_load_number in (select _load_number from off)') %}
    with finished as (
        select load_number as _load_number from ({{ finished_loads(raw) }}) as loads
    ),

    off as (
        select _load_number
        from (
            select _load_number, count(*) as row_count, sum({{ quick_row_hash(made) }}) as checksum
            from {{ there | replace('<these>', is_fresh) }}
            group by _load_number
        ) as t
        full outer join (
            select _load_number, count(*) as row_count, sum({{ quick_row_hash(made) }}) as checksum
            from {{ model }}
            where {{ is_fresh }}
            group by _load_number
        ) as h using (_load_number)
        where t.row_count is distinct from h.row_count or t.checksum is distinct from h.checksum
    ),

    touched as (
        select distinct {{ named | join(', ') }}
        from {{ there_in_off }}
    ),

    held as (
        select {{ names_of_a }} from {{ model }} as a inner join touched as b on {{ same }}
        union all
        select {{ names_of_a }}
        from (select * from {{ model }} where _load_number in (select _load_number from off)) as a
        left join touched as b on {{ same }}
        where b.{{ named[0] }} is null
    ),

    held_keys as (
        select distinct {{ named | join(', ') }} from held
    ),

    extra as (
        select {{ names }} from held
        except all
        select {{ names_of_a }} from {{ there | replace('<these>', those_of) | replace('<loads>', 'held') }} inner join held_keys as b on {{ same }}
    ),

    wrong as (
        select distinct {{ (named if '_load_number' in named else named + ['_load_number']) | join(', ') }} from extra
    ),

    lost as (
        select a.* from touched as a
        left join held_keys as b on {{ same }}
        where b.{{ named[0] }} is null
    ),

    missing as (
        select {{ names_of_a }} from {{ there | replace('<these>', those_of) | replace('<loads>', 'wrong') }}
        inner join wrong as b on {{ same }} and a._load_number = b._load_number
        {%- if key %}
        union all
        select {{ names_of_a }} from {{ there_in_off }}
        inner join lost as b on {{ same }}
        {%- endif %}
    )

    {{ told_apart(model.identifier, named, made, 'coalesce(m._load_number, e._load_number)') }}
{% endtest %}

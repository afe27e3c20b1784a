{#- Every row has come from another table, each with the same values: none is lost, doubled or altered.
    Both tables are compared by load, by their number of rows and checksum; only loads that differ are
    compared row by row. In quick builds (var all_rows) only those that no good build has taken.

    from     the relation that the rows come from
    key      columns that name a row
    columns  column of the model to the SQL that makes it of a row of `from`, which is `told`; of the
             same name where it is not given, as the key always is
    which    which rows of the model, which is `held`, come from there; all, unless given
    others   what the other rows keep to
    reasons  why a row of `from` need not be here: name of the reason to SQL of such a row
    loads    [source, table] whose load numbers `_load_number` has; without, all rows are compared -#}
{% test carried_over(model, from, key, columns={}, which=none, others=none, reasons={}, loads=none) %}
    {%- set made = {} -%}
    {%- for column in (adapter.get_columns_in_relation(model) if execute else []) -%}
        {%- set told = columns.get(column.name, column.name) -%}
        {%- do made.update({column.name: 'cast(' ~ told ~ ' as ' ~ column.dtype ~ ')'}) -%}
    {%- endfor -%}
    {%- set has_load = '_load_number' in made -%}
    {%- set load = '_load_number' if has_load else 'cast(null as bigint)' -%}
    {%- set fresh = fresh_loads(loads) if loads else 'true' -%}
    {%- set names = made | join(', ') -%}
    {%- set there %}(
        select {% for name, told in made.items() %}{{ told }} as {{ name }}{{ ', ' if not loop.last }}{% endfor %}
        from {{ from }} as told
        where {{ fresh }}
            {%- for condition in reasons.values() %} and ({{ condition }}) is not true{% endfor %}
    ){%- endset -%}
    {%- set here %}(
        select {{ names }} from {{ model }} as held where {{ fresh }} {%- if which %} and ({{ which }}){% endif %}
    ){%- endset %}
    with off as (
        select coalesce(t.load_number, h.load_number) as load_number
        from (
            select {{ load }} as load_number, count(*) as row_count, sum({{ quick_row_hash(made) }}) as checksum
            from {{ there }} as t
            group by 1
        ) as t
        full outer join (
            select {{ load }} as load_number, count(*) as row_count, sum({{ quick_row_hash(made) }}) as checksum
            from {{ here }} as h
            group by 1
        ) as h on t.load_number is not distinct from h.load_number
        where t.row_count is distinct from h.row_count or t.checksum is distinct from h.checksum
    ),

    lost as (
        select {{ names }} from {{ there }} as t
        where exists (select 1 from off where off.load_number is not distinct from {{ load }})
        except all
        select {{ names }} from {{ here }} as h
        where exists (select 1 from off where off.load_number is not distinct from {{ load }})
    ),

    missing as (
        select
            lost.*,
            {% if has_load %}_load_number
            {%- else %}(
                select max(told._load_number) from {{ from }} as told
                where {% for column in key %}told.{{ column }} = lost.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
            )
            {%- endif %} as _told_by
        from lost
    ),

    extra as (
        select {{ names }} from {{ here }} as h
        where exists (select 1 from off where off.load_number is not distinct from {{ load }})
        except all
        select {{ names }} from {{ there }} as t
        where exists (select 1 from off where off.load_number is not distinct from {{ load }})
    )

    {{ told_apart(
        model.identifier, key, made,
        'coalesce(m._told_by, e._load_number)' if has_load else 'm._told_by'
    ) }}
    {%- if others %}
    union all
    select
        '{{ model.identifier }}' as table_name,
        cast(null as bigint) as load_number,
        'a row that does not come from {{ from.identifier }} is not as it should be: '
        || {{ key | join(" || ', ' || ") }} as difference
    from {{ model }}
    where ({{ which }}) is not true and ({{ others }}) is not true
    {%- endif %}
{% endtest %}

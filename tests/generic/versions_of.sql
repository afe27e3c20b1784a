{#- Every version in a history is a row of raw as it was staged, not altered and not doubled; and each
    staged key has an open version, not older than its row. A change that the source did not date later
    than the one before is no version: raw and staging have it, no history. All rows, in every build.

    staged   the staging model, with the same key and `updated_at`
    raw      its source
    key      columns that name a row
    columns  column of the history to the SQL that makes it of a row of raw; of the same name where it
             is not given -#}
{% test versions_of(model, staged, raw, key, columns={}) %}
    {%- set dated = "coalesce(updated_at, timestamp '1970-01-01 00:00:00')" -%}
    {%- set of_dbt = {
        'changed_at': dated, 'dbt_valid_from': dated, 'dbt_updated_at': dated,
        'dbt_scd_id': snapshot_hash_arguments(key + [dated]),
    } -%}
    {%- set made = {} -%}
    {%- for column in (adapter.get_columns_in_relation(model) if execute else [])
            if column.name != 'dbt_valid_to' -%}
        {%- set told = columns.get(column.name) or of_dbt.get(column.name) or column.name -%}
        {%- do made.update({column.name: 'cast(' ~ told ~ ' as ' ~ column.dtype ~ ')'}) -%}
    {%- endfor -%}
    {%- set names = made | join(', ') -%}
    {%- set same -%}
        {%- for name in key %}a.{{ name }} = b.{{ name }}{{ ' and ' if not loop.last }}{% endfor -%}
    {%- endset -%}
    {%- set there %}(
        select
            {% for name, told in made.items() %}{{ told }} as {{ name }}, {% endfor %}
            _load_number as _told_by
        from {{ raw }}
        where _load_number in ({{ finished_loads(raw) }})
    ){%- endset %}
    with extra as (
        select {{ names }} from {{ model }}
        except all
        select {{ names }} from {{ there }} as t
    ),

    late as (
        select a.*
        from {{ staged }} as a
        left join {{ model }} as b on {{ same }} and b.dbt_valid_to is null
        where b.changed_at is null or coalesce(a.updated_at, b.changed_at) > b.changed_at
    ),

    missing as (
        select a.* from {{ there }} as a
        where
            exists (select 1 from extra as b where {{ same }} and a.changed_at = b.changed_at)
            or exists (select 1 from late as b where {{ same }} and a._told_by = b._load_number)
    )

    {{ told_apart(model.identifier, key, made, 'm._told_by') }}
{% endtest %}

{#- What the dbt project inside Elementary's command line calls to make its report. -#}

{#- Runs the macro `package.name` and logs what it gives back between marks that edr looks for. -#}
{% macro log_macro_results(macro_name, macro_args=none) %}
    {%- set package, dot, name = macro_name.rpartition('.') -%}
    {%- set found = context[package][name] if package else context[name] -%}
    {%- set answer = found(**(macro_args or {})) -%}
    {%- if answer is not none -%}
        {%- do elementary.edr_log(
            '--ELEMENTARY-MACRO-OUTPUT-START--' ~ tojson(answer) ~ '--ELEMENTARY-MACRO-OUTPUT-END--'
        ) -%}
    {%- endif -%}
{% endmacro %}

{% macro edr_log(msg, info=true) %}{% if execute %}{% do log('Elementary: ' ~ msg, info=info) %}{% endif %}{% endmacro %}

{% macro run_query(query, lowercase_column_names=true) %}
    {%- set answer = dbt.run_query(query) -%}
    {%- set names = {} -%}
    {%- for name in answer.column_names -%}{%- do names.update({name: name | lower}) -%}{%- endfor -%}
    {{ return(answer.rename(names) if lowercase_column_names else answer) }}
{% endmacro %}

{% macro result_value(query) %}
    {%- set rows = elementary.run_query(query).rows -%}
    {{ return(rows[0][0] if rows | length else none) }}
{% endmacro %}

{#- Rows as mappings that JSON can hold: times as ISO text, decimals as numbers. -#}
{% macro agate_to_dicts(table) %}
    {%- set rows = [] -%}
    {%- for row in table.rows -%}
        {%- set plain = {} -%}
        {%- for name, value in row.items() -%}
            {%- if value.isoformat is defined -%}{%- set value = value.isoformat() -%}
            {%- elif value is number and value is not boolean and value.as_tuple is defined -%}
                {%- set value = (value | int) if value == (value | int) else (value | float) -%}
            {%- endif -%}
            {%- do plain.update({name | lower: value}) -%}
        {%- endfor -%}
        {%- do rows.append(plain) -%}
    {%- endfor -%}
    {{ return(rows) }}
{% endmacro %}

{% macro insensitive_get_dict_value(dict, key, default=none) %}
    {%- for name, value in dict.items() -%}
        {%- if name | lower == key | lower -%}{{ return(value) }}{%- endif -%}
    {%- endfor -%}
    {{ return(default) }}
{% endmacro %}

{#- Relations -#}
{% macro target_database() %}{{ return(target.database) }}{% endmacro %}

{% macro get_package_database_and_schema(package_name='elementary') %}
    {%- for node in graph.nodes.values() if node.package_name == package_name and node.resource_type == 'model' -%}
        {{ return([node.database, node.schema]) }}
    {%- endfor -%}
    {{ return([none, none]) }}
{% endmacro %}

{% macro get_elementary_relation(identifier) %}
    {%- set database, schema = elementary.get_package_database_and_schema() -%}
    {{ return(adapter.get_relation(database, schema, identifier)) }}
{% endmacro %}

{% macro relation_exists(relation) %}{{ return(load_relation(relation) is not none) }}{% endmacro %}

{% macro get_column_in_relation(relation, column_name) %}
    {%- for column in adapter.get_columns_in_relation(relation) if column.name | lower == column_name | lower -%}
        {{ return(column) }}
    {%- endfor -%}
    {{ return(none) }}
{% endmacro %}

{% macro column_exists_in_relation(relation, column_name) %}
    {{ return(elementary.get_column_in_relation(relation, column_name) is not none) }}
{% endmacro %}

{% macro has_temp_table_support() %}{{ return(true) }}{% endmacro %}

{% macro create_temp_table(database_name, schema_name, table_name, sql_query) %}
    {%- set relation = api.Relation.create(identifier=table_name ~ '__edr', type='table') -%}
    {%- do dbt.run_query('drop table if exists ' ~ relation) -%}
    {%- do dbt.run_query('create temporary table ' ~ relation ~ ' as ' ~ sql_query) -%}
    {{ return(relation) }}
{% endmacro %}

{% macro fully_drop_relation(relation) %}{% do adapter.drop_relation(relation) %}{% endmacro %}

{#- Expressions -#}
{% macro edr_cast_as_timestamp(field) %}cast({{ field }} as {{ dbt.type_timestamp() }}){% endmacro %}
{% macro edr_cast_as_string(field) %}cast({{ field }} as {{ dbt.type_string() }}){% endmacro %}
{% macro edr_cast_as_numeric(field) %}cast({{ field }} as {{ dbt.type_numeric() }}){% endmacro %}
{% macro edr_current_timestamp() %}cast(timezone('UTC', current_timestamp) as {{ dbt.type_timestamp() }}){% endmacro %}
{% macro edr_date_trunc(part, moment) %}{{ dbt.date_trunc(part, moment) }}{% endmacro %}
{% macro edr_dateadd(part, number, moment) %}{{ dbt.dateadd(part, number, moment) }}{% endmacro %}
{% macro edr_timeadd(part, number, moment) %}{{ dbt.dateadd(part, number, moment) }}{% endmacro %}
{% macro edr_datediff(first, second, part) %}{{ dbt.datediff(first, second, part) }}{% endmacro %}
{% macro edr_quote(text) %}{{ return("'" ~ (text | string).replace("'", "''") ~ "'") }}{% endmacro %}
{% macro escape_reserved_keywords(word) %}{{ return(word) }}{% endmacro %}
{% macro no_results_query() %}select 1 as nothing where 1 = 0{% endmacro %}
{% macro normalize_data_type(data_type) %}{{ return(data_type | lower) }}{% endmacro %}
{% macro strings_list_to_tuple(strings) %}
    {{ return('(' ~ (strings | map('tojson') | join(', ')).replace('"', "'") ~ ')') }}
{% endmacro %}

{#- Settings -#}
{% macro is_tsql() %}{{ return(false) }}{% endmacro %}
{% macro get_column_size() %}{{ return(none) }}{% endmacro %}
{% macro get_default_table_type() %}{{ return(none) }}{% endmacro %}
{% macro get_default_incremental_strategy() %}{{ return(none) }}{% endmacro %}
{% macro get_config_var(name) %}
    {{ return(var(name, {'elementary_full_refresh': false, 'query_max_size': 1000000}.get(name))) }}
{% endmacro %}

{#- Writing, which only `edr monitor` and its kin do. -#}
{% macro insert_rows() %}{{ elementary.only_the_real_one(varargs, kwargs) }}{% endmacro %}
{% macro upload_artifacts_to_table() %}{{ elementary.only_the_real_one(varargs, kwargs) }}{% endmacro %}
{% macro flatten_source_freshness() %}{{ elementary.only_the_real_one(varargs, kwargs) }}{% endmacro %}
{% macro only_the_real_one(values, named) %}
    {{ exceptions.raise_compiler_error(
        "this needs the real Elementary package: run `millrace deps` where dbt's package hub can be reached"
    ) }}
{% endmacro %}

{#- In a history, one version of each key is open and no two are valid at the same time. -#}
{% test one_version_at_a_time(model, key) %}
    with versions as (
        select
            {{ key }},
            dbt_valid_from,
            dbt_valid_to,
            lead(dbt_valid_from) over (partition by {{ key }} order by dbt_valid_from) as next_from
        from {{ model }}
    )

    select *
    from versions
    where
        dbt_valid_to is distinct from next_from
        or dbt_valid_from >= dbt_valid_to
{% endtest %}

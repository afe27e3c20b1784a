{#- One select: one row per window of one size, each beginning where the one before ends; an event is in
    one of them. The columns and the arguments are those of sliding_windows, without the slide. -#}
{% macro tumbling_windows(
    events, versions, key, at, size, aggregates, watermarks, late, by=[], where='true', built=none
) %}
    {{- sliding_windows(
        events, versions, key, at, size, size, aggregates, watermarks, late,
        by=by, where=where, built=built,
    ) -}}
{% endmacro %}

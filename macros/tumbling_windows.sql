{#- One select: one row per window of one size, each beginning where the one before ends; an event is in
    one of them. The columns and the arguments are those of sliding_windows, without the slide. -#}
{% macro tumbling_windows(
    events, key, at, size, aggregates, watermarks, late, by=[], versions=none, where='true', built=none
) %}
    {{- sliding_windows(
        events, key, at, size, size, aggregates, watermarks, late,
        by=by, versions=versions, where=where, built=built,
    ) -}}
{% endmacro %}

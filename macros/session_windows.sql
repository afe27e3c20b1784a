{#- One select: one row per session, a run of events with less than the gap from each to the next. It
    begins with its first event, and window_end is the gap after its last: an event just there begins a
    session of its own, for a window does not hold its end. Columns as in sliding_windows.

    gap     as '30 minutes'
    others  as in sliding_windows; with `built`, of sessions that were joined, or begin elsewhere now,
            the former start has a row with event_count 0 -#}
{% macro session_windows(
    events, versions, key, at, gap, aggregates, watermarks, late,
    by=[], where='true', built=none
) %}
    {%- set gap = 'interval ' ~ seconds_in(gap) ~ ' seconds' -%}
    {%- set window = (by + ['window_start']) | join(', ') -%}
    {%- set in_order -%}
        {{ 'partition by ' ~ by | join(', ') if by }} order by {{ at }}
    {%- endset -%}
    {%- set same_by -%}
        {%- for column in by %}one.{{ column }} = other.{{ column }} and {% endfor -%}
    {%- endset %}
    with
    {% if built %}
    changes as (
        {{ window_changes(events, versions, key, at, by, built) }}
    ),

    -- sessions as they are built that a change was in, or joins, or that are settled now
    reached as (
        select one.*
        from (select {{ window }}, window_end from {{ built }}) as one
        semi join changes as other
            on {{ same_by }} other.{{ at }} < one.window_end
            and one.window_start < other.{{ at }} + {{ gap }}
        union
        {{ windows_settling(by, watermarks, built) }}
    ),

    stretches as (
        select {{ window }}, window_end from reached
        union all
        select {{ (by + [at]) | join(', ') }}, {{ at }} + {{ gap }} from changes
    ),
    {% endif %}

    seen as (
        select one.*
        from ({{ window_events(events, key, at, late, where) }}) as one
        {% if built %}
        semi join stretches as other
            on {{ same_by }} one.{{ at }} >= other.window_start and one.{{ at }} < other.window_end
        {% endif %}
    ),

    opened as (
        select
            *,
            case when {{ at }} < lag({{ at }}) over ({{ in_order }}) + {{ gap }} then null
                else {{ at }} end as _opened_at
        from seen
    ),

    -- events at one time are peers: all of them see the session that any of them opened
    placed as (
        select *, max(_opened_at) over ({{ in_order }}) as window_start from opened
    )
    {%- if built %},

    touched as (
        select {{ window }} from reached
        union
        select {{ window }} from placed
    )
    {% endif %}

    {{ window_rows(by, 'coalesce(max(' ~ at ~ '), window_start) + ' ~ gap, aggregates, watermarks, built) }}
{% endmacro %}

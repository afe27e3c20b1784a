{#- One select: one row per window of one size that begins with every slide, `[window_start, window_end)`
    in UTC; an event is in size / slide of them. Besides the aggregates: event_count, late_count,
    _load_number (the newest of the window's events) and is_settled (below the watermark).

    events      staging relation: one row per event, its newest version, with _load_number
    versions    relation with key, at and by of every version in raw: of an event that was corrected or
                deleted, the windows that it left are made anew
    key         list of columns that name an event
    at          column of the event time (UTC), never null
    size, slide as '1 day' and '1 hour'; the size is a multiple of the slide
    by          list of columns, never null, of which each value has windows of its own; may be empty
    aggregates  name to SQL over the events of a window
    watermarks, late  relations of the macros watermarks and late_events
    where       SQL: the event counts
    built       the windows built so far. Given, a window has a row if it is other than it was built;
                one that has lost its last event has event_count 0, and a post-hook deletes it -#}
{% macro sliding_windows(
    events, versions, key, at, size, slide, aggregates, watermarks, late,
    by=[], where='true', built=none
) %}
    {%- set size, slide = seconds_in(size), seconds_in(slide) -%}
    {%- if not slide or size % slide -%}
        {%- do exceptions.raise_compiler_error('the size of a window is a multiple of its slide') -%}
    {%- endif -%}
    {%- set window = (by + ['window_start']) | join(', ') -%}
    {%- set steps %}(values ({{ range(0, size, slide) | join('), (') }})) as steps (step){% endset -%}
    {%- set later = 'step * interval 1 second' %}
    with slides as (
        select *, {{ window_start(at, slide) }} as _slide_start
        from ({{ window_events(events, key, at, late, where) }}) as seen
    ),

    {% if built %}
    touched as (
        select {{ (by + [window_start(at, slide)]) | join(', ') }} - {{ later }} as window_start
        from ({{ window_changes(events, versions, key, at, by, built) }}) as changes
        cross join {{ steps }}
        union
        select {{ window }} from ({{ windows_settling(by, watermarks, built) }}) as settling
    ),

    -- an event finds its windows by equality: comparing times would try all with all
    panes as (
        select *, window_start + {{ later }} as _slide_start from touched cross join {{ steps }}
    ),
    {% endif %}

    placed as (
        {% if built %}
        select slides.*, panes.window_start
        from slides
        inner join panes using ({{ (by + ['_slide_start']) | join(', ') }})
        {% else %}
        select *, _slide_start - {{ later }} as window_start from slides cross join {{ steps }}
        {% endif %}
    )

    {{ window_rows(by, 'window_start + interval ' ~ size ~ ' seconds', aggregates, watermarks, built) }}
{% endmacro %}

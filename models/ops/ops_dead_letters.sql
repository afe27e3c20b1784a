with letters as (
    {{ over_sources(
        '_dead_letters',
        'dead_letter_id, table_name, broken_rules, payload, _load_number, _extracted_at, _source',
    ) }}
),

fates as (
    select *
    from (
        select
            source_name,
            dead_letter_id,
            fate,
            reason,
            _load_number,
            _extracted_at,
            row_number() over (
                partition by source_name, dead_letter_id
                order by _load_number desc, _extracted_at desc
            ) as newest
        from (
            {{ over_sources(
                '_dead_letter_fates', 'dead_letter_id, fate, reason, _load_number, _extracted_at'
            ) }}
        ) as told
    ) as ranked
    where newest = 1
),

ops_dead_letters as (
    select
        letters.dead_letter_id,
        letters.source_name,
        letters.table_name,
        letters.broken_rules,
        letters.payload,
        letters._source as read_from,
        letters._load_number as load_number,
        letters._extracted_at as read_at,
        coalesce(fates.fate, 'open') as fate,
        fates.reason as fate_reason,
        fates._load_number as fate_load_number,
        fates._extracted_at as fate_at
    from letters
    left join fates
        on
            letters.source_name = fates.source_name
            and letters.dead_letter_id = fates.dead_letter_id
)

select * from ops_dead_letters

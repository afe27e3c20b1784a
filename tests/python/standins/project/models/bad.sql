-- The rows of `numbers`, with faults: 3 values out of range, 2 pairs the wrong way round, a null of
-- each, 4 codes of another form, 5 rows twice.
with numbers as (select * from {{ ref('numbers') }}),

faulty as (
    select
        id,
        case when id in (3, 4) then 'bad!' when id = 5 then null when id in (6, 7) then '' else code end
            as code,
        case when id < 3 then 99 when id = 9 then null else digit end as digit,
        case when id = 50 then 1000000 else amount end as amount,
        started_at,
        case when id in (20, 21) then started_at - interval 1 hour when id = 22 then null else ended_at end
            as ended_at
    from numbers
)

select * from faulty
union all
select * from faulty where id >= 95

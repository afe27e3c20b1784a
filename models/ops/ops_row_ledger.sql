{#- The source tables whose staging is held against raw: what raw accepted must be found in it. A
    table that is not named here balances as far as its book goes, and a test warns of it. -#}
{% set tables = [
    ('pos', 'transactions'), ('pos', 'products'), ('pos', 'households'),
    ('promo', 'promotions'), ('promo', 'coupons'),
    ('loyalty', 'campaigns'), ('loyalty', 'campaign_targets'), ('loyalty', 'redemptions'),
] %}
{% if env_var('MILLRACE_SCANNER_BROKERS', '') != '' %}
{% do tables.append(('scanner', 'scans')) %}
{% endif %}

with book as (
    select
        source_name,
        table_name,
        count(*) as load_count,
        max(load_number) as newest_load_number,
        sum(rows_fetched) as rows_fetched,
        sum(rows_reread) as rows_reread,
        sum(rows_read) as rows_read,
        sum(rows_accepted) as rows_accepted,
        sum(rows_dead) as rows_dead
    from {{ ref('ops_loads') }}
    where is_finished
    group by source_name, table_name
),

staged as (
    {% for source_name, table_name in tables %}
    select
        '{{ source_name }}' as source_name,
        '{{ table_name }}' as table_name,
        count(*) as rows_staged,
        sum(_superseded_count) as rows_superseded,
        sum(_repeated_count) as rows_repeated
    from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

ops_row_ledger as (
    select
        source_name,
        table_name,
        coalesce(book.load_count, 0) as load_count,
        book.newest_load_number,
        coalesce(book.rows_fetched, 0) as rows_fetched,
        coalesce(book.rows_reread, 0) as rows_reread,
        coalesce(book.rows_read, 0) as rows_read,
        coalesce(book.rows_accepted, 0) as rows_accepted,
        coalesce(book.rows_dead, 0) as rows_dead,
        staged.rows_staged,
        coalesce(staged.rows_superseded, 0) as rows_superseded,
        coalesce(staged.rows_repeated, 0) as rows_repeated
    from book
    full outer join staged using (source_name, table_name)
)

select
    *,
    rows_fetched = rows_reread + rows_read
    and rows_read = rows_accepted + rows_dead
    and (
        rows_staged is null
        or rows_accepted = rows_staged + rows_superseded + rows_repeated
    ) as is_balanced
from ops_row_ledger

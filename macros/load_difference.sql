{#- What of a load does not balance, in words, as an expression over the columns of ops_load_ledger:
    the book against itself, and raw against the book. '' where all balances. -#}
{% macro load_difference() %}
    concat_ws(
        '; ',
        case
            when rows_fetched <> rows_reread + rows_read
                then
                    rows_fetched || ' rows were fetched, but ' || rows_reread
                    || ' read again and ' || rows_read || ' new'
        end,
        case
            when rows_read <> rows_accepted + rows_dead
                then
                    rows_read || ' rows were read, but ' || rows_accepted
                    || ' accepted and ' || rows_dead || ' dead'
        end,
        case
            when rows_in_raw <> rows_accepted
                then rows_accepted || ' rows were accepted, raw holds ' || rows_in_raw
            when checksum <> checksum_now
                then 'of ' || rows_accepted || ' accepted rows raw holds some with other values'
        end,
        case
            when dead_in_raw <> rows_dead
                then rows_dead || ' rows were dead, raw holds ' || dead_in_raw || ' dead letters'
            when dead_checksum <> dead_checksum_now
                then 'of ' || rows_dead || ' dead letters raw holds some with other values'
        end
    )
{% endmacro %}

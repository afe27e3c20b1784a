{{ elementary.no_rows_of(
'
    unique_id name owner_email owner_name generated_at metadata_hash
') }}

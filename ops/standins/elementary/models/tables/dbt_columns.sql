{{ elementary.no_rows_of(
'
    unique_id parent_unique_id name data_type tags meta database_name schema_name
    table_name description resource_type generated_at metadata_hash
') }}

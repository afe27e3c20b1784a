{{ elementary.no_rows_of(
'
    unique_id alias checksum tags meta owner database_name schema_name description name
    package_name original_path path generated_at metadata_hash group_name
') }}

"""The words of a source YAML: dbt's keys at each level, and which of ours go with which kind."""

NEEDS = {"sql": "url", "files": "path", "rest": "client", "dlt": "function", "kafka": "brokers"}
TABLE_NEEDS = {"files": "files", "rest": "endpoint", "kafka": "topic"}
DBT_KEYS = {
    "sources": [
        "name",
        "description",
        "database",
        "schema",
        "loader",
        "quoting",
        "tables",
        "tags",
        "meta",
        "config",
        "loaded_at_field",
        "loaded_at_query",
        "freshness",
        "overrides",
        "unrendered_config",
    ],
    "tables": [
        "name",
        "description",
        "identifier",
        "columns",
        "config",
        "data_tests",
        "tests",
        "meta",
        "tags",
        "external",
        "loaded_at_field",
        "loaded_at_query",
        "freshness",
        "quoting",
        "loader",
    ],
    "columns": [
        "name",
        "description",
        "data_type",
        "config",
        "data_tests",
        "tests",
        "meta",
        "tags",
        "quote",
        "constraints",
        "granularity",
        "dimension",
        "entity",
    ],
}
CONFIG = [
    "meta",
    "tags",
    "enabled",
    "freshness",
    "event_time",
    "loaded_at_field",
    "loaded_at_query",
]
OURS = ("required", "check", "accepted_values")
SOURCE_KEYS = {
    "sql": {"url", "backend", "database_schema"},
    "files": {"path"},
    "rest": {"client"},
    "dlt": {"function", "arguments"},
    "kafka": {"brokers", "client", "registry"},
}
TABLE_KEYS = {
    "sql": {"table", "database_schema"},
    "files": {"files", "format", "max_line_bytes", "max_read_bytes"},
    "rest": {"endpoint", "max_read_bytes"},
    "dlt": {"resource", "arguments", "max_read_bytes"},
    "kafka": {
        "topic",
        "format",
        "schema_file",
        "key",
        "start",
        "isolation",
        "max_message_bytes",
        "landing",
    },
}
# dbt and Millrace themselves build in these; undoing a load there would delete their rows
TAKEN_SCHEMAS = [
    "main",
    "staging",
    "intermediate",
    "marts",
    "snapshots",
    "ops",
    "elementary",
    "millrace",
    "temp",
    "information_schema",
    "pg_catalog",
    "seeds",
]

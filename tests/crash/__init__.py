"""The crash matrix: whatever dies, whenever, the same command again makes it right.

    make crash-test           every case; writes docs/crash-matrix.md
    python -m tests.crash -h  some of them

`points` finds in the code of `ingest` and `ops` every statement with a durable effect. `hook` puts
a named point before and after each, in the processes of this harness alone: the product's code has
none, so they cost nothing where they are not asked for. `libraries` names those in dlt and dbt.
`engine` kills a scenario's commands there, up to five times in a row, and types them again.
`stores` (ingestion alone) and `retailer` (whole runs of the sample) are the scenarios, each with an
oracle of its own; `switches` takes one safety away, to show that the matrix can fail.
"""

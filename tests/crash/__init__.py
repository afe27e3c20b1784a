"""The crash matrix: whatever dies, whenever, the same command again makes it right.

    make crash-test               every case; writes docs/crash-matrix.md
    python -m tests.crash -h      some of the jobs, another seed
    pytest tests/python/crash     the slice that is in `make test`

`points` finds in the code of `ingest` and `ops` every call with a durable effect. `hook` puts a
named point before and after each, in the processes of this harness alone: the product's code has
none, so they cost nothing where they are not asked for. `libraries` names those in dlt and dbt.
`server` forks a process for each command, `control` counts the points there and acts at one of
them. `engine` disturbs a scenario's commands, several times in a row, and types them again.

Scenarios, each with an oracle of its own:
- `store_scenarios`, ingestion alone, with `databases`. One more is a subclass of `Store`: `bring`
  puts a step's rows at the source and says in `known` what must come of them; `command` where it is
  not a load. Its name goes into `STORES`.
- `readers`, publishing alone.
- `shop`, whole runs of a small shop: every point of a run is met here, for its commands are quick.
  One more command is a `Step` in `SHOP`, or a few when the outside world must be got ready for it.
- `retailer`, whole runs of the sample: its models, and random moments. A `Step` in `WAY`; `Stand`
  says what the oracle must think of it.
- `rebuilds`, a rebuild. A command of another module than those here is a function in `commands`.

New code that lasts and is in no function of `coverage.CASES` fails the tests until it is listed
there, and `make crash-test` until some scenario passes it. `switches` and `safeties` take one
safety away, to show that the matrix can fail.
"""

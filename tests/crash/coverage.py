"""Which durable effects have a case, and why the others need none.

A statement in a function that is in neither list fails `tests/python/crash/test_points.py`: give it
a scenario and add the function to `CASES`, or say in `EXCEPTIONS` why no run of it can hurt. That
every single statement of `CASES` was disturbed, before and after, is seen by `make crash-test`.
"""

CASES = {
    "ingest": (
        *("batch.Checker.check", "batch.Checker._pile", "batch.Checker._dead_letters"),
        *("batch.Checker._one", "book.parts", "piles.write", "piles._copy"),
        *("compare.Comparer.compare", "compare.Comparer.arrow"),
        *("dead_letters.DeadLetters._replay", "dead_letters.DeadLetters._commit"),
        *("factory._Files._bring", "destination._connect", "destination.Destination.connected"),
        *("destination.Destination.open", "destination.Destination.commit"),
        *("destination.Destination.arrow", "destination.Destination._settle_state"),
        *("destination.Destination._make_tables", "destination.Destination._empty"),
        *("destination.Destination._execute", "destination.Destination.keep"),
        *("stored_state.drop_torn", "load.Loader._opened", "loading.Loading._one_load"),
        "loading.Loading._commit",
        *("readers.json_rows.json_relation", "readers.line_by_line._written"),
        *("readers.places._Bucket.fetch", "readers.sql.open_source"),
        "readers.kafka_broker.Broker.tell_group",
        *("readers.land.Lander._lands", "readers.landing.Landing.write"),
        *("readers.landing.Landing.settle", "disk.sync_folder"),
        *("readers.resource.ResourceReader._read", "readers.resource._put_down"),
        "readers.resource.ResourceReader.stretch.counted",
        *("readers.text_files.unpacked", "readers.text_files._fast_csv"),
        *("readers.text_files._pair", "readers.text_files._measured"),
    ),
    "ops": (
        *("build.DbtSteps.tidy", "build.DbtSteps._elementary", "build.DbtSteps._attached"),
        *("build_log.BuildLog.begin", "build_log.BuildLog.drop", "build_log.BuildLog._add"),
        *("build_log._append", "lock_file.taken"),
        *("dbt.Dbt.run", "dbt.Dbt.listed", "dbt.Dbt._parse", "gather._rows"),
        *("artifacts.Artifacts.write", "artifacts.Artifacts.note"),
        *("history.History.keep", "history.History._cut", "history.History.restore"),
        *("history.History.prune", "history.write_json"),
        *("journal.Journal.start", "journal.Journal.finish", "journal.Journal.forget"),
        *("journal.Journal.begin_step", "journal.Journal.end_step", "journal.Journal.nodes"),
        *("journal.Journal.built", "journal.Journal.mark", "journal.Journal._mark"),
        "journal.Journal.nodes_of_killed",
        *("lock.run_lock", "lock.RunLock.__init__", "lock.RunLock._beat", "lock.RunLock.release"),
        *("log.Log.alone", "permissions.open_folder", "settings.load"),
        *("publish.publish", "publish._sole_writer", "publish.copy", "publish._verify"),
        "publish.settle",
        *("quality.fill", "quality._replace", "quality._append"),
        *("quality_report.report", "quality_report._parsed_once"),
        *("rebuild._Rebuild.copies", "rebuild._Rebuild.swap", "rebuild._settle"),
        *("report._generate", "report._write", "resume.Builds.build"),
        *("swap.replace", "swap.finish", "swap._swap", "swap.drop_drafts", "swap._still"),
        "vouching.vouch_now",
    ),
}
"""Package to the functions whose durable statements the scenarios pass."""

EXCEPTIONS = {
    "ingest.readers.avro_rows.": "a file in the scratch folder, read at once and replaced",
    "ingest.readers.protobuf_rows._compiled:": "a folder for the compiler, gone when it has ended",
    "ops.hub.": "fetches dbt packages into a folder of its own: an installation, no run",
    "ops.packages.": "installs dbt packages, whole or not at all: see its own tests",
    "ops.package_files.": "the same",
    "ops.cli_run._traced:": "the trace of a fault that nobody foresaw, beside all data",
    "ops.gather._open:": "reads; opens as its own process has it open",
    "ingest.readers.text_files.unpacked: target.unlink": "of a refused file, in the scratch folder",
    "ops.stream.Stream.tick: self._metrics.write": "numbers of this process; no other goes by them",
    "ops.stream_metrics.": "the same",
    "ops.stream.Stream._behind:": "reads; opens as its own process has it open",
    "ops.quality_report.report: draft.unlink": "only where Elementary itself could make no page",
}
"""The beginning of a name to the reason why it has no case."""

TIMED = ("dlt: start a job", "dlt: complete jobs", "ops.lock.RunLock._beat")
"""Beginnings of points that are passed as often as time allows: only the first pass is certain."""


def covered(name: str) -> bool:
    """Whether the statement of that name has a case."""
    function = name.partition(": ")[0]
    package, _, rest = function.partition(".")
    return rest in CASES.get(package, ())


def excepted(name: str) -> str | None:
    """The beginning in `EXCEPTIONS` that the name has."""
    return next((start for start in EXCEPTIONS if name.startswith(start)), None)

"""dlt's destination DuckDB: all files of a table in one statement, and no look-ups for nothing."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations import duckdb
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

from ingest.types import parquet


class DuckDb(duckdb):
    """What DuckDB can do depends on no setting, yet dlt asks for all of them each time, some ten
    times in a load: a fifth of the calls of Python in a load of nothing.

    Attributes:
        files: table to the Parquet files that a load has still to bring in. dlt is given the first
            of each table, and its job brings them all.
    """

    files: Mapping[str, list[Path]] = MappingProxyType({})

    @property
    def destination_type(self) -> str:
        """The type that the pipeline's stored state has."""
        return "dlt.destinations.duckdb"

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """What DuckDB can do; see dlt."""
        return super().capabilities(self.spec() if config is None else config, naming)

    def client(self, schema: Any, initial_config: Any = None) -> Any:
        """A client that knows the files; see dlt."""
        client: Any = super().client(schema, initial_config)
        client.files = self.files
        return client

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The class of the clients."""
        return _Client


class _Client(DuckDbClient):
    files: Mapping[str, list[Path]]

    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> Any:
        job = super().create_load_job(table, file_path, load_id, restore)
        if not isinstance(job, DuckDbCopyJob):
            return job
        return _Files(file_path, self.files[ParsedLoadJobFileName.parse(file_path).table_name])


class _Files(DuckDbCopyJob):
    """One transaction with all files: side by side, as dlt's jobs are, none fills its last group of
    rows. DuckDB then packs the whole anew as it closes, which is as dear as the loading.

    Args:
        file_path: the first of the files, in dlt's package.
        files: all, where they were written; those that are in are taken out.
    """

    def __init__(self, file_path: str, files: list[Path]) -> None:
        super().__init__(file_path)
        self._files = files

    def run(self) -> None:
        """Bring the files in. Where this is tried again, it goes on with those that are left."""
        try:
            self._bring(len(self._files))
        except DatabaseException:
            if len(self._files) < 2:
                raise
            # rows of 20 kB fill no group either, and what is open is held in memory
            while self._files:
                self._bring(1)

    def _bring(self, count: int) -> None:
        """The next files, by one statement."""
        client, paths = self._job_client.sql_client, self._files[:count]
        client.execute_sql(
            f"insert into {client.make_qualified_table_name(self.load_table_name)} by name "
            f"from {parquet(paths)}"
        )
        del self._files[:count]

"""dlt's destination DuckDB: all files of a table in one statement, and no look-ups for nothing."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations import duckdb
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

from ingest.types import glob_free, literal


class DuckDb(duckdb):
    """What DuckDB can do depends on no setting, yet dlt asks for all of them each time, some ten
    times in a load: a fifth of the calls of Python in a load of nothing.

    Attributes:
        further: table to the Parquet files that come in with the one which dlt was given.
    """

    further: Mapping[str, tuple[Path, ...]] = MappingProxyType({})

    @property
    def destination_type(self) -> str:
        """The type that the pipeline's stored state has."""
        return "dlt.destinations.duckdb"

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """What DuckDB can do; see dlt."""
        return super().capabilities(self.spec() if config is None else config, naming)

    def client(self, schema: Any, initial_config: Any = None) -> Any:
        """A client that knows the further files; see dlt."""
        client: Any = super().client(schema, initial_config)
        client.further = self.further
        return client

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The class of the clients."""
        return _Client


class _Client(DuckDbClient):
    further: Mapping[str, tuple[Path, ...]]

    def create_load_job(
        self, table: Any, file_path: str, load_id: str, restore: bool = False
    ) -> Any:
        job = super().create_load_job(table, file_path, load_id, restore)
        further = self.further.get(ParsedLoadJobFileName.parse(file_path).table_name)
        return _Files(file_path, further) if isinstance(job, DuckDbCopyJob) and further else job


class _Files(DuckDbCopyJob):
    """One transaction with all files: side by side, as dlt's jobs are, none fills its last group of
    rows. DuckDB then packs the whole anew as it closes, which is as dear as the loading.
    """

    def __init__(self, file_path: str, further: tuple[Path, ...]) -> None:
        super().__init__(file_path)
        self._further = further

    def run(self) -> None:
        client = self._job_client.sql_client
        paths = (Path(self._file_path), *self._further)
        files = ", ".join(literal(glob_free(path)) for path in paths)
        client.execute_sql(
            f"insert into {client.make_qualified_table_name(self.load_table_name)} by name "
            f"from read_parquet([{files}], union_by_name = true)"
        )

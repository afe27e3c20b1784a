"""dlt's destination DuckDB, without what it looks up for nothing."""

from typing import Any

from dlt.destinations import duckdb


class DuckDb(duckdb):
    """What DuckDB can do depends on no setting, yet dlt asks for all of them each time, some ten
    times in a load: a fifth of the calls of Python in a load of nothing.
    """

    @property
    def destination_type(self) -> str:
        """The type that the pipeline's stored state has."""
        return "dlt.destinations.duckdb"

    def capabilities(self, config: Any = None, naming: Any = None) -> Any:
        """What DuckDB can do; see dlt."""
        return super().capabilities(self.spec() if config is None else config, naming)

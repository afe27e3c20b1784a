"""What a run came to."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops import publish
from ops.codes import BUILD_FAILED, FAILED, MISDECLARED, OK, SOURCE_FAILED, USAGE
from ops.journal import NodeResult

if TYPE_CHECKING:
    from ingest.load import TableLoad

# What a run came to when several things went wrong: the last of these.
_WORSE = (OK, FAILED, SOURCE_FAILED, USAGE, MISDECLARED, BUILD_FAILED)


@dataclass
class Summary:
    """What a run came to: loads, dbt's nodes, errors, steps taken after the load, exit code.

    `seconds` has how long each step took.
    """

    run_id: str
    loads: "list[TableLoad]" = field(default_factory=list)
    nodes: list[NodeResult] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    published: publish.Published | None = None
    code: int = OK

    @property
    def idle(self) -> bool:
        """Nothing was new and nothing went wrong."""
        return not (self.loads or self.errors or self.steps)

    def fail(self, message: str, code: int) -> None:
        """Note what went wrong; the worse exit code stays."""
        self.errors.append(message)
        self.code = max(self.code, code, key=_WORSE.index)

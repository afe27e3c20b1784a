"""What a build is and which of its nodes have finished, in a file beside the warehouse.

dbt has the warehouse open while it builds, and tells of its nodes there only at the end. So each
node that finishes is a line here, written at once: it is all that is left of a build that is
killed. The first line says what is built. A good build deletes the file; to lose it costs a whole
build and no more.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ops.journal import NodeResult, now

_GOOD = ("success", "pass")


@dataclass(frozen=True)
class Plan:
    """What a build builds.

    Attributes:
        run_id: its run.
        token: the run lock's number when it began.
        project: the fingerprint of the project.
        pending: the newest load of each source table that it takes, by `source.table`.
        whole: everything, unit tests too.
        anew: incremental models from their first row.
        deep: also the tests that read all of raw.
        partial: dbt was given words of the caller's, so nothing can be said of the rest.
        kept: nodes that the killed build before had finished, and that hold still.
    """

    run_id: str
    token: int
    project: str
    pending: dict[str, int]
    whole: bool
    anew: bool
    deep: bool
    partial: bool = False
    kept: tuple[str, ...] = ()


@dataclass
class Killed:
    """A build that did not end, as its file has it.

    Attributes:
        plan: what it was.
        results: its nodes that finished, and when, UTC.
        total: how many nodes it was to build.
        vouched: the mark of the marts' file as the build left it, where that is known.
        told: its results are in the journal.
    """

    plan: Plan
    results: list[tuple[NodeResult, str]] = field(default_factory=list)
    total: int = 0
    vouched: str | None = None
    told: bool = False

    @property
    def done(self) -> set[str]:
        """The nodes that are well, kept ones too."""
        last = {result.unique_id: result.status for result, _ in self.results}
        return {*self.plan.kept, *(node for node, status in last.items() if status in _GOOD)}

    @property
    def told_of(self) -> str:
        """In words."""
        done = sum(result.resource_type != "unit_test" for result, _ in self.results)
        return (
            f"the build of {self.plan.run_id} was killed when {done} of {self.total or 'its'} "
            "nodes had finished: it is gone on with"
        )


class BuildLog:
    """The file.

    Args:
        warehouse: the warehouse's file.
        guard: called before the file is replaced; what it raises forbids it.
    """

    def __init__(self, warehouse: Path, guard: Callable[[], None] = lambda: None) -> None:
        self._path = warehouse.with_name(f"{warehouse.name}.build")
        self._guard = guard
        self._descriptor: int | None = None

    @property
    def touched(self) -> int:
        """When it was last written to, in the nanoseconds of the file's system."""
        return self._path.stat().st_mtime_ns

    def begin(self, plan: Plan) -> None:
        """A build begins; what the file said of the one before is gone."""
        self._guard()
        draft = self._path.with_name(f"{self._path.name}.draft")
        draft.write_text(_line({"plan": asdict(plan)}), encoding="utf-8")
        self._close()
        # kept open: a run that is lost writes to its own file, never to that of the next
        self._descriptor = os.open(draft, os.O_WRONLY | os.O_APPEND)
        draft.replace(self._path)

    def node(self, result: NodeResult, total: int) -> None:
        """A node finished, of so many."""
        if self._descriptor is not None:
            _append(self._descriptor, {"node": vars(result), "of": total, "at": now().isoformat()})

    def vouch(self, mark: str) -> None:
        """Nobody but the build has written to the marts, whose mark is this."""
        self._add({"vouched": mark})

    def tell(self) -> None:
        """Its results are in the journal now."""
        self._add({"told": True})

    def drop(self) -> None:
        """The build has ended, well or not, and the journal knows."""
        self._guard()
        self._close()
        self._path.unlink(missing_ok=True)

    def read(self) -> Killed | None:
        """The build that did not end; None where there is none, or its first line is torn."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return None
        found: Killed | None = None
        for line in lines:
            # a torn line is a node that nobody knows of: it is built once more
            with suppress(ValueError, TypeError, KeyError):
                said: dict[str, Any] = json.loads(line)
                if "plan" in said:
                    plan = said["plan"]
                    found = Killed(Plan(**{**plan, "kept": tuple(plan["kept"])}))
                elif found is None:
                    return None
                elif "node" in said:
                    found.results.append((NodeResult(**said["node"]), said["at"]))
                    found.total, found.vouched, found.told = said["of"], None, False
                else:
                    found.vouched = said.get("vouched", found.vouched)
                    found.told = said.get("told", found.told)
        return found

    def _add(self, said: dict[str, Any]) -> None:
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                _append(descriptor, said)
            finally:
                os.close(descriptor)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _append(descriptor: int, said: dict[str, Any]) -> None:
    # a line that a full disk does not take costs a repetition, and must not stop the build
    with suppress(OSError):
        os.write(descriptor, _line(said).encode("utf-8"))


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said) + "\n"

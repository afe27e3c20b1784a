"""The step that brings rows in: every declared source, one after another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sample
from ingest.declaration import Accept, Source, load_sources, pick
from ingest.deletes import acceptable
from ingest.errors import DeclarationError, IngestError, UnsetError
from ops.build import StepError
from ops.codes import MISDECLARED, SOURCE_FAILED, USAGE
from ops.dbt import fingerprint
from ops.log import Log
from ops.secrecy import refuse_written
from ops.settings import Settings
from ops.summary import Summary

if TYPE_CHECKING:
    from ingest.load import Loader


@dataclass
class LoadStep:
    """Loads; the loaders are kept between the runs of one process.

    `once`: of each source one load at most, a window of each table; the next run reads on.
    """

    settings: Settings
    log: Log
    once: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None
    _loaders: "dict[str, Loader]" = field(default_factory=dict)
    _declared: tuple[str, tuple[Source, ...]] = ("", ())

    def sources(self) -> tuple[Source, ...]:
        """The declared sources, read again only after an edit."""
        mark = fingerprint(self.settings)
        if self._declared[0] != mark:
            declared = load_sources(self.settings.project, self.settings.env)
            refuse_written(declared)
            self._declared = (mark, declared)
            self._loaders.clear()
        return self._declared[1]

    def load(self, summary: Summary, words: tuple[str, ...], accept: Accept = "") -> str:
        """Load from these sources and tables, all if none; what came of it, in words.

        Args:
            summary: of the run; the loads and what went wrong go into it.
            words: like `pos` or `pos.transactions`.
            accept: what of them a person has said is right.

        Raises:
            StepError: the declarations are wrong, or a word names nothing.
        """
        try:
            declared = self.sources()
        except DeclarationError as error:
            raise StepError(str(error), MISDECLARED) from None
        try:
            sources = pick(declared, words)
            if accept:
                acceptable(sources, words, accept)
        except DeclarationError as error:
            raise StepError(str(error), USAGE) from None
        problems: list[IngestError] = []
        for done, source in enumerate(sources):
            self.progress(done, len(sources))
            loader = self.loader(source)
            result = loader.load(summary.run_id, accept=accept, once=self.once)
            self.settings.guard()  # a lost lock is no fault of the source
            summary.loads += result.loads
            problems += result.errors
        for problem in problems:
            if isinstance(problem, UnsetError) and problem.variable in sample.VARIABLES:
                problem.mend = f"millrace sample start; for a source of your own: {problem.mend}"
            self.log.error("source_failed", str(problem))
            wrong = isinstance(problem, DeclarationError)
            summary.fail(str(problem), MISDECLARED if wrong else SOURCE_FAILED)
        read = sum(load.read for load in summary.loads)
        dead = sum(load.dead for load in summary.loads)
        return f"{read:,} rows read, {dead:,} of them dead letters" if summary.loads else "no news"

    def loader(self, source: Source) -> "Loader":
        """The source's loader, the same one until an edit."""
        from ingest.load import Loader  # and with it dlt

        known = self._loaders.get(source.name)
        if known is None or known.source != source:
            known = Loader(
                source,
                self.settings.warehouse,
                self.settings.scratch / "load" / source.name,
                self.settings.env,
                lambda line: self.log.say("load", f"  {line}"),
                self.settings.guard,
            )
            self._loaders[source.name] = known
        return known

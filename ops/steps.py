"""The pipeline as data. A runner, here or in a scheduler, takes the steps in this order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step: its name is its command, `millrace <name>`.

    Attributes:
        name: the command.
        title: what it does, in a few words.
        needs: the steps that must have gone well before it.
        idle: it is taken also when no source had anything new.
        uses_dbt: it cannot do without the dbt packages.
    """

    name: str
    title: str
    needs: tuple[str, ...] = ()
    idle: bool = False
    uses_dbt: bool = False


STEPS = (
    Step("load", "bring new rows in from every source", idle=True),
    Step("freshness", "ask when each source last brought rows", ("load",), True, uses_dbt=True),
    Step("build", "build and test what the new rows reach", ("load",), uses_dbt=True),
    Step("publish", "give readers the new, tested snapshot", ("build",)),
    Step(
        "report", "write the start page, the docs and the quality report", ("load",), uses_dbt=True
    ),
)

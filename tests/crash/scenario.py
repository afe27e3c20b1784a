"""What a scenario of the matrix is: a way of steps, each with its oracle."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.crash.client import Client


class Scenario:
    """Override all but `restore` and `keep`; the world is below `path`, and nowhere else.

    Attributes:
        name: what the table calls it.
        steps: what it calls the steps.
        switches: what every command does without; see `switches`.
        own: beginnings of the points that it is killed at; the others are met elsewhere.
        in_a_row: disturbances at points, one after the other, before the command ends well.
    """

    name = ""
    steps: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    own: tuple[str, ...] = ("",)
    in_a_row = 10

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "world"

    def change(self, step: int, client: Client) -> None:
        """What happens outside before the step's command."""

    def command(self, step: int) -> list[str]:
        """See `commands`."""
        raise NotImplementedError

    def env(self) -> Mapping[str, str]:
        """All of the command's environment."""
        raise NotImplementedError

    def cwd(self, step: int) -> Path:
        """Where the command is called."""
        return self.path

    def well(self, step: int) -> tuple[int, ...]:
        """The exit codes of a command that had nothing left to do, or did it."""
        return (0,)

    def scratch(self) -> Path:
        """The folder that nothing may depend on."""
        raise NotImplementedError

    def between(self, step: int) -> None:
        """Right after a disturbed command: what readers must find even then."""

    def check(self, step: int) -> int:
        """After the command ended well: compare all with the oracle.

        Returns:
            How many rows were compared.

        Raises:
            AssertionError: something is lost, twice or mixed.
        """
        raise NotImplementedError

    def keep(self, step: int) -> None:
        """Keep the world as it is before the step's command."""
        shutil.copytree(self.path, self.folder / f"before-{step}", symlinks=True)

    def restore(self, step: int) -> None:
        """Have it so again."""
        shutil.rmtree(self.path)
        shutil.copytree(self.folder / f"before-{step}", self.path, symlinks=True)

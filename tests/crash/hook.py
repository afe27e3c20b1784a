"""Imports `ingest` and `ops` with the points in them, in a process that asks for it."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.crash.control import Control
from tests.crash.points import PACKAGES, placed


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, control: Control) -> None:
        super().__init__(name, path)
        self._control = control

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew: neither read from the cache of the plain code nor written there."""
        source = self.get_data(self.path).decode("utf-8")
        return compile(placed(source, fullname), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__crash__"] = self._control
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, control: Control) -> None:
        self._control = control

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path, self._control)
        return spec


def install(control: Control) -> None:
    """From here on, import with points. Nothing of the two packages may be imported yet."""
    already = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    assert not already, already
    sys.meta_path.insert(0, _Finder(control))

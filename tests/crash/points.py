"""Finds the calls with a durable effect in a module, and puts a named point around each."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("ingest", "ops")
ROOT = Path(__file__).parents[2]
WIDTH = 88

# SQL that only looks, or keeps to a session of its own
_READS = re.compile(
    r"\s*(?:select|from|with|set|load|describe|detach|install|pragma|rollback|"
    r"create\s+(?:or\s+replace\s+)?temp)\b",
    re.IGNORECASE,
)
_FLAGS = re.compile(r"\bos\.O_(?:WRONLY|RDWR|CREAT|TRUNC)\b")
_SQL = {"execute", "sql"}
_ALWAYS = {
    *("executemany", "begin", "commit", "checkpoint"),  # databases
    *("write", "write_text", "write_bytes", "write_table", "write_parquet", "ParquetWriter"),
    *("mkdir", "makedirs", "touch", "unlink", "remove", "rmdir", "rmtree", "rename", "symlink_to"),
    *("copytree", "copyfileobj", "copy_file_range", "copy2", "truncate", "fsync"),
    *("mkdtemp", "TemporaryDirectory", "NamedTemporaryFile"),
    *("sync_destination", "managed_state", "execute_sql"),  # dlt
    *("invoke", "write_manifest", "generate_report"),  # dbt, Elementary
    *("acquire", "Popen", "check_call", "check_output", "extractall"),
}
_OF_MODULE = {
    *(("shutil", "copy"), ("shutil", "move"), ("os", "replace"), ("os", "link")),
    *(("subprocess", "run"), ("dlt", "pipeline")),
    *(("elementary", "Config"), ("elementary", "DataMonitoringReport")),  # they call dbt
}


def modules() -> dict[str, Path]:
    """The modules whose calls count, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            inside = path.relative_to(ROOT).with_suffix("")
            if "standins" not in inside.parts:
                parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
                found[".".join(parts)] = path
    return found


def found() -> list[str]:
    """The names of all calls with a durable effect, in the code's order.

    A name is the module, the function and the call's own words, never a line: `(2)` follows where
    a function has the same words twice.
    """
    names = []
    for module, path in modules().items():
        placer = _Placer(module)
        placer.visit(ast.parse(path.read_text("utf-8")))
        names += placer.names
    return names


def placed(source: str, module: str) -> ast.Module:
    """The module's code, each such call as `__crash__.after(name, __crash__.before(name), call)`.

    Arguments are evaluated in order, so `before` comes just before the call itself.
    """
    tree: ast.Module = _Placer(module).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


class _Placer(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self._where = [module]
        self._texts: list[dict[str, ast.expr]] = [{}]
        self._said: Counter[str] = Counter()
        self.names: list[str] = []

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self._texts = [_assigned(node.body)]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._within(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._within(node)

    def _within(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._where.append(node.name)
        self._texts.append(_assigned(list(ast.walk(node))))
        done = self.generic_visit(node)
        self._texts.pop()
        self._where.pop()
        return done

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not self._lasts(node):
            return self.generic_visit(node)
        words = " ".join(ast.unparse(node).split())
        words = words if len(words) <= WIDTH else f"{words[: WIDTH - 1]}…"
        name = f"{'.'.join(self._where)}: {words}"
        self._said[name] += 1
        if self._said[name] > 1:
            name += f" ({self._said[name]})"
        self.names.append(name)
        given = ast.Constant(name)
        call = self.generic_visit(node)
        control = ast.Name("__crash__", ast.Load())
        before = ast.Call(ast.Attribute(control, "before", ast.Load()), [given], [])
        after = ast.Attribute(control, "after", ast.Load())
        return ast.copy_location(ast.Call(after, [given, before, call], []), node)

    def visit_withitem(self, node: ast.withitem) -> ast.AST:
        """What is held by a `with` may write when it ends: that has points of its own."""
        lasts = isinstance(node.context_expr, ast.Call) and self._lasts(node.context_expr)
        before = len(self.names)
        self.generic_visit(node)
        if lasts:
            name = f"{self.names[before]}, its end"
            self.names.append(name)
            ending = ast.Attribute(ast.Name("__crash__", ast.Load()), "ending", ast.Load())
            call = ast.Call(ending, [ast.Constant(name), node.context_expr], [])
            node.context_expr = ast.copy_location(call, node.context_expr)
        return node

    def _lasts(self, node: ast.Call) -> bool:
        owner, name = _named(node.func)
        if name in _ALWAYS or (owner, name) in _OF_MODULE:
            return True
        if name in _SQL and node.args:
            return not _READS.match(self._text(node.args[0]))
        if name == "replace":  # of a path: text is replaced by two words, a time by its parts
            return len(node.args) == 1 and not node.keywords
        if name == "run":
            return owner.endswith("pipeline")
        if name == "connect":
            # a file is made, or its log replayed
            read_only = any(word.arg == "read_only" for word in node.keywords)
            return owner == "duckdb" and bool(node.args) and not read_only
        if name == "open":
            return bool(_FLAGS.search(ast.unparse(node))) if owner == "os" else _writes(node)
        return False

    def _text(self, node: ast.expr) -> str:
        """What is known of a text before it runs; \\0 for what is not."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part) for part in node.values)
        if isinstance(node, ast.BinOp):
            return self._text(node.left) + self._text(node.right)
        if isinstance(node, ast.Name):
            for texts in reversed(self._texts):
                if node.id in texts:
                    return self._text(texts[node.id])
        return "\0"


def _assigned(nodes: list[ast.stmt] | list[ast.AST]) -> dict[str, ast.expr]:
    return {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp)
    }


def _named(function: ast.expr) -> tuple[str, str]:
    if isinstance(function, ast.Attribute):
        return ast.unparse(function.value), function.attr
    return "", function.id if isinstance(function, ast.Name) else ""


def _writes(node: ast.Call) -> bool:
    modes = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and re.fullmatch(r"[rwxabt+]*[wxa+][rwxabt+]*", mode.value)
        for mode in modes
    )


def sides(names: Iterator[str] | list[str]) -> list[str]:
    """Each name with its two points."""
    return [f"{name} ({side})" for name in names for side in ("before", "after")]

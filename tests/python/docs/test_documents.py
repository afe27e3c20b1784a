"""What the documents name is there: files, links, anchors, make targets, commands, options."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ops import cli

PROJECT = Path(__file__).parents[3]
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
IDS = [str(page.relative_to(PROJECT)) for page in PAGES]

# What Millrace and its tools make, below the home; it is not in a fresh clone.
MADE = ("warehouse", "published", "sample_data", "target", "logs", "history", ".venv", ".millrace",
        "dbt_packages", "build")  # fmt: skip
ELSEWHERE = ("http://", "https://", "mailto:")
WORD = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"^[\w.][\w./-]*/[\w./-]*$|^[\w-]+\.(?:py|sql|yml|toml|md|lock|txt|csv)$")

each_page = pytest.mark.parametrize("page", PAGES, ids=IDS)


def commands_of(page: Path) -> list[list[str]]:
    """The words of each command in a page: fenced shell, and code within a line."""
    text = page.read_text()
    found = [line for kind, block in FENCE.findall(text) if kind in ("sh", "bash", "shell", "")
             for line in block.splitlines()]  # fmt: skip
    found += WORD.findall(FENCE.sub("", text))
    calls = []
    for line in found:
        for part in re.split(r"&&|;|\|", line.split(" #")[0]):
            try:
                words = shlex.split(part)
            except ValueError:
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                calls.append(words)
    return calls


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "DECISIONS.md"} <= set(IDS)
    assert len(PAGES) >= 6


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith(ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{page.name}: {link}"


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def _known_names() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip
    files = listed.stdout.split() or [
        str(path.relative_to(PROJECT)) for path in PROJECT.rglob("*") if ".venv" not in path.parts
    ]
    names = set(files)
    for file in files:
        names |= {str(folder) for folder in Path(file).parents}
        names.add(Path(file).name)
    return names


@each_page
def test_paths_exist(page: Path) -> None:
    known = _known_names()
    for word in WORD.findall(FENCE.sub("", page.read_text())):
        path = word.rstrip("/").split(":")[0].removeprefix("./")
        if not PATH.match(word) or path.split("/")[0] in MADE or "…" in word:
            continue
        there = path in known or (page.parent / path).exists() or _is_example(page, path)
        assert there, f"{page.name} names {word}, which is not there"


def _is_example(page: Path, path: str) -> bool:
    """Whether a page's own fenced example makes or describes the path."""
    return any(path in block for _, block in FENCE.findall(page.read_text()))


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for words in commands_of(page):
        if words[0] == "make" and len(words) > 1 and "=" not in words[1]:
            assert words[1] in targets, f"{page.name}: {' '.join(words)}"


@each_page
def test_millrace_commands_exist(page: Path) -> None:
    for words in commands_of(page):
        if words[0] == "millrace" and len(words) > 1 and not words[1].startswith("<"):
            call(words[1:])


if "dead-letters" not in {group.name for group in cli.app.registered_groups}:
    cli._register()
ROOT = typer.main.get_command(cli.app)


def call(words: list[str]) -> None:
    """Let the command line be read as it would be; nothing is run."""
    command: Any = ROOT
    rest = [word for word in words if word not in ("…", "...")]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        names = command.commands
        assert rest[0] in names, f"there is no command: millrace {' '.join(words)}"
        command, rest = names[rest[0]], rest[1:]
    with command.make_context("millrace", rest, resilient_parsing=True) as context:
        options = {option for p in command.params for option in p.opts + p.secondary_opts}
        given = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert context.command is command
    if not command.context_settings.get("ignore_unknown_options"):
        assert given <= options | {"--help"}, f"there is no option: millrace {' '.join(words)}"


def test_a_wrong_page_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`ops/nowhere.py` `make nonsense` [x](gone.md)\n```sh\nmillrace fly --far\n```\n"
    )
    for check in (
        test_links_lead_somewhere, test_paths_exist, test_make_targets_exist,
        test_millrace_commands_exist,
    ):  # fmt: skip
        with pytest.raises(AssertionError, match=r"gone|nowhere|nonsense|fly"):
            check(page)


@each_page
def test_dbt_commands_exist(page: Path) -> None:
    from dbt.cli.main import cli as dbt

    for words in commands_of(page):
        if words[0] == "dbt" and len(words) > 1 and words[1].islower() and words[1].isalpha():
            assert words[1] in dbt.commands, f"{page.name}: {' '.join(words)}"


def test_exit_codes_are_those_of_the_command() -> None:
    told = dict(re.findall(r"^\| (\d) \| ([^|]+) \|", (PROJECT / "docs/operations.md").read_text(),
                           re.MULTILINE))  # fmt: skip
    assert {int(code) for code in told} == set(range(7))

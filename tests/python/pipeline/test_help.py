"""`--help` teaches: each command says what it does, and the lines that it shows are right."""

from __future__ import annotations

import re
import shlex

import click
import pytest
import typer.main

from ops import cli

cli._register()
ROOT = typer.main.get_command(cli.app)
COMMANDS: dict[str, click.Command] = {}


def _walk(command: click.Command, name: str) -> None:
    COMMANDS[name] = command
    for each in getattr(command, "commands", {}).values():
        _walk(each, f"{name} {each.name}".strip())


_walk(ROOT, "")


def help_of(name: str) -> str:
    with click.Context(COMMANDS[name], info_name=f"millrace {name}".strip()):
        return COMMANDS[name].help or ""


def test_there_are_all_commands() -> None:
    assert COMMANDS.keys() >= {
        "run", "load", "build", "publish", "report", "status", "deps", "dead-letters list",
        "dead-letters show", "dead-letters replay", "dead-letters discard", "sample start",
        "sample advance", "sample demo",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_says_what_it_is_for(name: str) -> None:
    assert len(help_of(name).split()) >= 5
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_calls_that_there_are(name: str) -> None:
    for line in re.findall(r"^\s+(millrace .*)", help_of(name), re.MULTILINE):
        for call in line.split("&&"):
            words = shlex.split(call.strip().split("   ")[0])[1:]
            two = " ".join(words[:2])
            command, rest = (two, words[2:]) if two in COMMANDS else (words[0], words[1:])
            context = COMMANDS[command].make_context(command, list(rest), resilient_parsing=True)
            assert command == "build" or not context.args, call


@pytest.mark.parametrize("name", ["run", "load", "build", "publish", "dead-letters show",
                                  "dead-letters replay", "dead-letters discard",
                                  "sample start", "sample advance", "deps"])  # fmt: skip
def test_commands_with_choices_show_examples(name: str) -> None:
    assert "Example" in help_of(name)


def test_the_root_tells_the_exit_codes() -> None:
    told = {int(code) for code in re.findall(r"\b([0-9]) [a-z]", cli.EXIT_CODES)}
    assert told == set(range(7))

"""The reference of the command line, from its typer commands."""

import inspect
import re
from typing import Any

import typer

from scenekit.cli.program import application
from scenekit_docs.markdown import code, fenced, page, table

NOTE = re.compile(r"\s*\[([^\[\]]*)\]$")
"""The brackets at the end of a help text: default and range of the value."""

TYPE = re.compile(r"\s*<[^<>]*>$")
"""The type of a value in a help text, for values without a metavar."""


def page_of_commands() -> str:
    """Return a section per command and sub-command."""
    group = typer.main.get_command(application())
    return page(*(section(f"scenekit {name}", command) for name, command in sorted(subcommands(group).items())))


def subcommands(command: Any) -> dict[str, Any]:
    """Return the sub-commands by name; groups may import them only now."""
    if not hasattr(command, "list_commands"):
        return {}
    return {name: command.get_command(None, name) for name in command.list_commands(None)}


def section(name: str, command: Any, level: int = 2) -> str:
    """Return heading, help, usage and a table of arguments and options, or the sections of the sub-commands."""
    below = [section(f"{name} {word}", inner, level + 1) for word, inner in sorted(subcommands(command).items())]
    head = (f"{'#' * level} {code(name)}", inspect.cleandoc(command.help or ""))
    return page(*head, *(below or (fenced(usage(name, command), "text"), table_of(name, command))))


def usage(name: str, command: Any) -> str:
    """Return the usage line, such as `scenekit predict [OPTIONS] IMAGE...`."""
    arguments = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
    return " ".join([name, "[OPTIONS]", *arguments])


def table_of(name: str, command: Any) -> str:
    """Return a table of arguments and options: spelling, meaning, default and range."""
    context = command.make_context(name, [], resilient_parsing=True)
    records = [p.get_help_record(context) for p in command.params if not p.hidden and p.name != "help"]
    rows = [row(spelling, text) for spelling, text in filter(None, records)]
    return table(("argument or option", "meaning", "default, range"), rows) if rows else ""


def row(spelling: str, text: str) -> tuple[str, str, str]:
    """Return a row with the note in brackets in a column of its own."""
    note = NOTE.search(text)
    value = TYPE.sub("" if spelling[0] != "-" else " VALUE", spelling)
    return code(value), NOTE.sub("", text), note[1].removeprefix("default: ") if note else ""

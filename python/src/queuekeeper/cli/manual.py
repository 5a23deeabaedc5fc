"""help, completion: the commands' own definitions as help, as a man page, as scripts for shells.

The man page is one page, queuekeeper(1), in the macros of man(7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import cleandoc

import click
from click.shell_completion import get_completion_class

from queuekeeper import Queue
from queuekeeper.cli.grammar import EVERYWHERE, command

VARIABLE = "_QUEUEKEEPER_COMPLETE"
SHELLS = click.Choice(["bash", "zsh", "fish"])


@command("help", queue=False)
@click.argument("words", nargs=-1, metavar="[COMMAND]")
@click.option("--man", is_flag=True, help="Print all of it as a man page: help --man | man -l -")
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...], man: bool) -> None:
    """Describe a command, or list all.

    COMMAND may be of two words, such as offsite push.
    """
    root = context.find_root()
    if man:
        click.echo("\n".join(page(root)))
        return
    shown = root
    for word in words:
        if not isinstance(shown.command, click.Group):
            raise click.UsageError(f"'{shown.command_path}' has no commands of its own")
        name, found, _ = shown.command.resolve_command(shown, [word])
        assert found is not None
        shown = click.Context(found, info_name=name, parent=shown)
    click.echo(shown.get_help())


@command(queue=False)
@click.argument("shell", type=SHELLS, metavar="SHELL")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options.

    SHELL is bash, zsh or fish. For bash: eval "$(queuekeeper completion bash)" in ~/.bashrc.
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "queuekeeper", VARIABLE).source())


def page(root: click.Context) -> Iterator[str]:
    """The lines of the man page."""
    group = root.command
    assert isinstance(group, click.Group)
    yield f'.TH QUEUEKEEPER 1 "" "queuekeeper {Queue.version()}"'
    yield ".SH NAME"
    yield "queuekeeper \\- keep a SQLite\\-backed task queue healthy"
    yield ".SH SYNOPSIS"
    yield f".B queuekeeper\n{_roff(' '.join(group.collect_usage_pieces(root)))}"
    yield ".SH DESCRIPTION"
    yield from _text(group.help)
    yield ".SH COMMANDS"
    for context in _commands(root):
        usage = " ".join(context.command.collect_usage_pieces(context))
        yield f".SS {_roff(context.command_path.split(' ', 1)[1])}"
        yield f".B {_roff(context.command_path)}\n{_roff(usage)}\n.PP"
        yield from _text(context.command.help)
        yield from _text(context.command.epilog)
        found = context.command.get_params(context)
        yield from _options([each for each in found if each not in EVERYWHERE], context)
    yield ".SH OPTIONS OF EVERY COMMAND"
    yield from _options(root.command.get_params(root), root)
    yield ".SH NOTES"
    yield from _text(group.epilog)


def _commands(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        found = group.commands[name]
        if found.hidden:
            continue
        child = click.Context(found, info_name=name, parent=context)
        if isinstance(found, click.Group):
            yield child
            yield from _commands(child)
        else:
            yield child


def _options(found: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for each in found:
        record = each.get_help_record(context) if isinstance(each, click.Option) else None
        if record is not None:
            yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1])}"


def _text(text: str | None) -> Iterator[str]:
    """Paragraphs; those that begin with a backspace keep their lines, as click has it."""
    for paragraph in cleandoc(text or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield f".PP\n.nf\n{_roff(paragraph[1:].strip(chr(10)))}\n.fi"
        else:
            yield f".PP\n{_roff(paragraph)}"


def _roff(text: str) -> str:
    """A text in which nothing is a request of roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in escaped.split("\n"))


COMMANDS = (help_, completion)

"""The grammar that all commands share: which database, which options anywhere, which spelling.

# Promise

- The database is named by `--db`, else by the environment or the file `.env`, else by the first
  argument, `QUEUE`. An option of every command may stand before the command or behind it.
- Where no database is needed, since `--dir`, `--remote` or the path of a backup says enough, the
  first argument is the command's own.
- A spelling of the version before works for this version; a hint on standard error names the new
  one, after all else was said, and not where the command failed.
- A command that there is not is answered with the one that was meant, if one is like it.

# How

Which arguments a command has depends on what names the database, so `Command` looks first what the
parser finds, and then has `QUEUE` among its parameters or not. `Asked` collects what the options of
every command say; it is the object of the outermost context.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import click

from queuekeeper.cli.naming import ALL, LATEST, Name, environment_names_one, is_backup, names_file

VARIABLE = "PRISMQ_QUEUE_DB_PATH"
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
#: In `Context.meta`: whether the first argument is the queue.
LED = "queuekeeper.cli.led"


@dataclass
class Asked:
    """What was asked for by the options of every command, in whatever place."""

    db: str | None = None
    remote: str | None = None
    #: Where the backups are, if not where the queue has them.
    directory: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    yes: bool = False
    hints: list[str] = field(default_factory=list)

    def queue(self) -> str | None:
        """The queue that was named, as a command that is typed in its place names it."""
        if self.db is None:
            return None
        quoted = shlex.quote(self.db)
        return f"--db {quoted}" if environment_names_one(None) else quoted

    def hint(self, old: str, new: str) -> None:
        """Says that a spelling is an old one."""
        self.hints.append(f"'{old}' is now '{new}'; the old spelling works for this version only")


def asked() -> Asked:
    """What the command that runs was asked for besides its own."""
    return _asked(click.get_current_context())


def _asked(context: click.Context) -> Asked:
    return context.find_root().ensure_object(Asked)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(_asked(context), str(parameter.name), value)


def _keep_queue(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if value in (LATEST, ALL) or not (names_file(value) or Path(value).exists()):
        raise click.UsageError(no_database(context, value), context)
    if Path(value).is_dir() and DIRECTORY in context.command.get_params(context):
        _asked(context).hint(f"{context.info_name} {value}", f"{context.info_name} --dir {value}")
        _asked(context).directory = value
    else:
        _asked(context).db = value


def no_database(context: click.Context, taken: str | None = None) -> str:
    """What to say where nothing names the queue; `taken` was taken for it."""
    shown = "" if taken is None else f"'{taken}' is none; "
    name = context.command_path
    return f"no database: {shown}name it first ({name} QUEUE …), with --db FILE, or set {VARIABLE}"


def _everywhere(*names: str, **given: Any) -> click.Option:
    # Eager: what is told apart by whether the queue is named knows it.
    return click.Option(names, expose_value=False, is_eager=True, callback=_keep, **given)


#: The options of every command.
EVERYWHERE = (
    _everywhere(
        "--db",
        "-d",
        metavar="FILE",
        type=Name(),
        help=f"The queue, else what {VARIABLE} names, else QUEUE.",
    ),
    _everywhere("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    _everywhere("--quiet", "-q", is_flag=True, help="Print only errors, and what --json asks for."),
    _everywhere("--verbose", "-v", is_flag=True, help="Say on standard error what is used."),
    _everywhere("--yes", "-y", is_flag=True, help="Ask no questions."),
)
REMOTE = _everywhere(
    "--remote",
    metavar="REMOTE",
    type=Name(),
    help="Where the copies elsewhere are, as rclone writes it; else what QUEUEKEEPER_REMOTE or the "
    "setting remote names.",
)
#: Of the commands that look at backups.
DIRECTORY = _everywhere(
    "--dir",
    "directory",
    metavar="DIR",
    type=Name(),
    help="Where the backups are; else in the queue's own backup directory.",
)
QUEUE = click.Argument(
    ["queue"],
    required=False,
    is_eager=True,
    metavar="[QUEUE]",
    type=Name(),
    expose_value=False,
    callback=_keep_queue,
)


def or_queue(default: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """For an option whose value may be left out: what is a file is the queue, and no value."""

    def told_apart(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        if value is None or not (names_file(value) or Path(value).is_file()):
            return value
        if _asked(context).db is not None:
            raise click.BadParameter(f"'{value}' is a file", context, parameter)
        _asked(context).db = value
        return default

    return told_apart


class Command(click.Command):
    """A command.

    `queue` says whether it is one of a queue; `directory` and `remote`, whether it has `--dir` and
    `--remote`; `aside`, whether either of them makes a database unnecessary.
    """

    def __init__(
        self,
        *given: Any,
        queue: bool = True,
        directory: bool = False,
        remote: bool = False,
        aside: bool = False,
        **more: Any,
    ) -> None:
        more.setdefault("context_settings", SETTINGS)
        super().__init__(*given, **more)
        self._of_queue, self._has_aside = queue, aside
        chosen = ((DIRECTORY, directory), (REMOTE, remote))
        self._shared = (*(each for each, is_there in chosen if is_there), *EVERYWHERE)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, between the queue and those of every command."""
        own = super().get_params(ctx)
        taken = {name for each in self.params for name in each.opts}
        shared = [each for each in self._shared if not taken & set(each.opts)]
        is_led = self._of_queue and ctx.meta.get(LED, True)
        return [*((QUEUE,) if is_led else ()), *own, *shared]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Decides first whether the first argument is the queue."""
        if _asked(ctx).remote and REMOTE not in self._shared:
            raise click.UsageError(f"{ctx.info_name} takes no --remote", ctx)
        if self._of_queue and ctx.resilient_parsing:
            # A shell asks what could come next.
            is_named = _asked(ctx).db or {"--db", "-d"} & set(args) or environment_names_one(None)
            ctx.meta[LED] = not is_named
        elif self._of_queue:
            ctx.meta[LED] = False
            values, rest, _ = self.make_parser(ctx).parse_args(list(args))
            given = {name: each for name, each in values.items() if isinstance(each, str)}
            ctx.meta[LED] = self._is_led_by_queue(ctx, given, rest)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if ctx.meta.get(LED) and not Path(_asked(ctx).db or "").is_file():
                raise click.UsageError(no_database(ctx, _asked(ctx).db), ctx) from error
            raise

    def _is_led_by_queue(self, ctx: click.Context, given: dict[str, str], rest: list[str]) -> bool:
        names = [str(each.name) for each in self.params if isinstance(each, click.Argument)]
        words = [given[name] for name in names if name in given] + rest
        is_directory = DIRECTORY in self._shared and len(words) == 1 and Path(words[0]).is_dir()
        if "db" in given:
            if rest and not names and not is_directory:
                raise click.UsageError("the database is named twice: by --db, and first", ctx)
            return bool(rest) and is_directory
        if _asked(ctx).db or environment_names_one(given.get("env_file")):
            return self._is_old_spelling(ctx, names, words)
        if not self._has_aside or len(words) > len(names):
            return True
        is_aside = bool(given.keys() & {"directory", "remote"}) or _asked(ctx).remote is not None
        return not is_aside and not any(is_backup(each) for each in words[:1])

    def _is_old_spelling(self, ctx: click.Context, names: list[str], words: list[str]) -> bool:
        """Whether a command without arguments has one all the same: the queue, as it once was."""
        is_one = not names and len(words) == 1
        if is_one and not Path(words[0]).is_dir():
            _asked(ctx).hint(f"{ctx.info_name} {words[0]}", f"{ctx.info_name} --db {words[0]}")
        return is_one

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options first."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None and not isinstance(each, click.Argument):
                (shared if each in EVERYWHERE or "--help" in each.opts else own).append(record)
        for title, records in (("Options", own), ("With every command", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(click.Group):
    """Commands; one that there is not is answered with what was meant."""

    command_class = Command

    def __init__(
        self, *given: Any, sections: Mapping[str, Sequence[str]] | None = None, **more: Any
    ) -> None:
        more.setdefault("context_settings", SETTINGS)
        super().__init__(*given, **more)
        self._sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands by what they are for."""
        sections = self._sections or {"Commands": self.list_commands(ctx)}
        width = max(map(len, self.commands))
        for title, names in sections.items():
            found = [self.commands[name] for name in names if not self.commands[name].hidden]
            limit = formatter.width - 6 - width
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (str(each.name).ljust(width), each.get_short_help_str(limit))
                        for each in found
                    ]
                )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options of every command may stand before the command, too."""
        return [*super().get_params(ctx), REMOTE, *EVERYWHERE]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called."""
        name = args[0]
        is_known = self.get_command(ctx, name) is not None
        if not (is_known or name.startswith("-") or ctx.resilient_parsing):
            shown = [each for each in self.list_commands(ctx) if not self.commands[each].hidden]
            like = difflib.get_close_matches(name, shown, 1)
            meant = f"; did you mean '{like[0]}'?" if like else ""
            raise click.UsageError(f"there is no command '{name}'{meant}", ctx)
        return super().resolve_command(ctx, args)


def command(name: str | None = None, **given: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command of a function."""
    return click.command(name, cls=Command, **given)

"""The command line: `sagalog GROUP …`.

One module per group, named after it, imported only when its command runs: `_GROUPS` is the only list. A group is a
function, or a `cyclopts.App` with commands of its own. Every command

- says what it did in plain text, or with `--json` as JSON on standard output and nothing else there (`output.show`),
- ends with 0 when it did it, 1 when it could not, 2 when it was asked wrongly, 130 when it was interrupted,
- tells errors in one line on standard error, with the next action. Those of our packages say it themselves; any other
  error is a defect and shows its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from sagalog.cli.output import explain
from sagalog.cli.version import version

_OURS = frozenset({"schemas", "eventstore", "consumers", "sagas", "sagalog"})
_FAILED, _MISUSED, _INTERRUPTED, _PIPE_CLOSED = 1, 2, 130, 141


class _Group(NamedTuple):
    name: str
    implementation: str
    help: str
    examples: tuple[str, ...] = ()


_GROUPS = (
    _Group(
        "broker",
        "sagalog.cli.broker:broker",
        "Run Apache Kafka on this machine until Ctrl-C.",
        (
            "sagalog broker                     a Kafka that is gone with Ctrl-C",
            "sagalog broker --folder ./kafka    one that keeps its records",
            "sagalog broker --nodes 3 --json    three nodes, told as JSON",
        ),
    ),
    _Group("dlq", "sagalog.cli.dlq:dlq", "Look into dead letters, send them back, or lay them aside."),
    _Group("group", "sagalog.cli.group:group", "Look at consumer groups, or say where one goes on."),
    _Group("keys", "sagalog.cli.keys:keys", "Make and rotate master keys of personal data; forget a subject."),
    _Group(
        "run",
        "sagalog.cli.run:run",
        "Run a service, in one process or several.",
        (
            "sagalog run shop.app:service --log kafka://localhost:9092 --processes 4",
            "sagalog run shop.app:service --log embedded:///var/lib/shop --http 127.0.0.1:8080",
            "sagalog run shop.app:service --only mailer totals --log-format json",
        ),
    ),
    _Group("saga", "sagalog.cli.saga:saga", "Follow sagas: list them, show what happened to one."),
    _Group("schemas", "sagalog.cli.schemas:schemas", "Look at schemas, register them, check classes before a deploy."),
    _Group("streams", "sagalog.cli.streams:streams", "Export streams to a file, import them, list and show them."),
    _Group("topics", "sagalog.cli.topics:topics", "List the topics of a log, or check their settings."),
)
_HELP = """\
Event sourcing and sagas on Apache Kafka.

`sagalog COMMAND --help` shows what a command takes, with examples.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = application()(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except MissingArgumentError as error:
        return explain(_missing(error), _MISUSED)
    except UnusedCliTokensError as error:
        return explain(_unused(error), _MISUSED)
    except CycloptsError as error:
        return explain(f"{error} See `sagalog --help`.", _MISUSED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever reads what we print has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _OURS:
            raise
        return explain(str(error), _FAILED)
    return code if isinstance(code, int) else 0


def _unused(error: UnusedCliTokensError) -> str:
    """What was given and is not taken; of a group that also works without a command, which command it may be."""
    given, chain = error.unused_tokens or [], " ".join(("sagalog", *(error.command_chain or ())))
    commands = [] if error.app is None else [name for name in error.app if not name.startswith("-")]
    if not commands or not given:
        return f"`{chain}` does not take {' '.join(given)}. See `{chain} --help`."
    from schemas.suggestions import nearest

    close = nearest(given[0], commands)
    hint = f'Did you mean "{close}"?' if close else f"It has {', '.join(commands)}."
    return f'Unknown command "{given[0]}". {hint} See `{chain} --help`.'


def _missing(error: MissingArgumentError) -> str:
    """What was not given; of a log, what it may be."""
    if error.argument is None or error.argument.name != "--log":
        return f"{error} See `sagalog --help`."
    from consumers.errors import LogNotGiven

    command = " ".join(("sagalog", *(error.command_chain or ())))
    return str(LogNotGiven(f"`{command}`", "--log or the variable SAGALOG_LOG", is_kept=True))


def application() -> App:
    """The application with all groups, none of them imported yet."""
    app = App(
        name="sagalog",
        help=_HELP,
        default_parameter=Parameter(negative=()),
        help_format="plaintext",
        version=version,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for group in _GROUPS:
        if group.examples:
            examples = "".join(f"  {line}\n" for line in ("Examples:", *group.examples))
            app.command(group.implementation, name=group.name, help=group.help, help_epilogue=examples)
        else:
            app.command(group.implementation, name=group.name, help=group.help)
    return app

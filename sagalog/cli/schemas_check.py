"""`sagalog schemas check`: compare classes with committed schemas, in CI and without a broker."""

from __future__ import annotations

from pathlib import Path

from sagalog.cli.loading import messages_of
from sagalog.cli.output import show as tell
from sagalog.schema_folder import Finding, SchemaFolder
from schemas.compatibility import DEFAULT_MODE, Mode
from schemas.schema import Format

CHECK_EXAMPLES = (
    "Examples:\n  sagalog schemas check shop.messages --folder schemas\n"
    "  sagalog schemas check shop --folder schemas --update\n"
    "  sagalog schemas check shop --folder schemas --mode full_transitive --json\n"
)


def check(
    module: str,
    /,
    *,
    folder: Path,
    mode: Mode = DEFAULT_MODE,
    format: Format = "avro",
    update: bool = False,
    json: bool = False,
) -> int:
    """Compare the messages of a module or package with a folder of committed schemas. Needs no broker.

    Ends with 1 when they differ: a schema that is not committed or was changed, even compatibly (--update writes it),
    a change that the mode forbids, a version that nothing leads to, a type whose class is gone or has another name.

    Parameters
    ----------
    module
        The module, such as shop.messages; of a package all its modules.
    folder
        The folder of committed schemas.
    mode
        Who must be able to read what.
    format
        The format of the schemas.
    update
        Write new schemas and compatible changes into the folder; nothing, if there is an error.
    json
        Print one JSON object.
    """
    messages, committed = messages_of(module), SchemaFolder(folder)
    findings = committed.compare(messages, mode=mode, format=format)
    errors = [each for each in findings if each.is_error]
    written = committed.update(findings) if update and not errors else []
    left = [each for each in findings if each.is_error or not update]
    facts = {
        "types": len(messages),
        "findings": [_said(each) for each in left],
        "written": [str(file) for file in written],
    }
    tell(facts, _verdict(len(messages), findings, left, [str(file) for file in written]), json=json)
    return 1 if left else 0


def _said(each: Finding) -> dict[str, object]:
    return {"kind": each.kind, "name": each.name, "version": each.version, "said": each.said}


def _verdict(types: int, findings: list[Finding], left: list[Finding], written: list[str]) -> str:
    lines = [*(f"wrote {file}" for file in written), *(f"{each.kind}: {each.said}" for each in left)]
    if any(not each.is_error for each in left):
        lines.append("run it with --update, and commit what it writes" if len(left) == len(findings) else "")
    return "\n".join([line for line in lines if line] or [f"{types} types are as committed"])

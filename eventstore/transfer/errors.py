"""The errors of export and import, below `eventstore.errors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eventstore.errors import EventStoreError
from eventstore.registry_choice import REGISTRY_HINT


class TransferError(EventStoreError):
    """Streams could not be exported or imported."""


class FileUnusable(TransferError):
    """The file cannot be opened: correct its name, or the rights to it."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be opened: {error.strerror or error}. Give the name of a file that this user may use, in a "
            f"folder that is there"
        )
        self.path = path


class FileNotWritten(TransferError):
    """The disk does not take what is written to the file: free space, and export to it again, which goes on there."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written on: {error.strerror or error}. Free space and export to it again: that goes on "
            f"where it is whole"
        )
        self.path = path


class ExportIncomplete(TransferError):
    """The file ends before its last entry: export to it again, which goes on there."""

    def __init__(self, path: Path, events: int) -> None:
        super().__init__(
            f"{path} is cut after {events:,} events, nothing was imported: export to the same file again, which goes "
            f"on where it ends, or copy it again"
        )
        self.path, self.events = path, events


class ExportUnreadable(TransferError):
    """The file is no export of streams, or not as it was written: copy or export it again."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be read as an export of streams: {why}. Copy it again, or export to a new file"
        )
        self.path, self.why = path, why


class ExportDiffers(TransferError):
    """The file that is there belongs to another export: choose another name."""

    def __init__(self, path: Path, what: str, *, there: object, wanted: object) -> None:
        super().__init__(
            f"{path} is there already and holds another export: its {what} is {there!r}, wanted is {wanted!r}. Give "
            f"another name, or remove the file"
        )
        self.path, self.what, self.there, self.wanted = path, what, there, wanted


class ExportInUse(TransferError):
    """Another export writes to the file: let it end, or choose another name."""

    is_retryable = True

    def __init__(self, path: Path) -> None:
        super().__init__(f"another export is writing to {path}: wait until it has ended, or give another name")
        self.path = path


class ImportConflict(TransferError):
    """A stream of the target is not what the file says: import into a new store, or leave this stream out."""

    def __init__(self, stream: str, version: int, why: str) -> None:
        super().__init__(
            f"{stream}: version {version} cannot be imported: {why}. What was imported before it stays; import into a "
            f"store that never had this stream, or export without it"
        )
        self.stream, self.version, self.why = stream, version, why


class TypesNotTaken(TransferError):
    """The target cannot have these types in its history: deploy code that reads them, and import again."""

    def __init__(self, store: str, types: Sequence[str], *, is_asked: bool) -> None:
        """`is_asked`: its service said so; else it does not run, and the registry has only newer versions."""
        if is_asked:
            why = "the service that hosts it has no class of them and no upcast from them, so it might not start again"
            then = "deploy code that has one of them, and import again"
        else:
            why = "its log has only newer versions of them, and whether code reads these is known to its service alone"
            then = "start that service, and import through it, without --serve-as (serve_as=)"
        super().__init__(f"{store} does not take {', '.join(types)}: {why}. Nothing was imported or registered: {then}")
        self.store, self.types = store, tuple(types)


class SchemaOfOtherType(TransferError):
    """The registry that was asked has another type under an event's schema id: name that of the service."""

    def __init__(self, id: int, *, asked: str, wanted: str, found: str) -> None:
        super().__init__(
            f"an event of type {wanted!r} was written with schema {id}, which in the registry ({asked}) is of type "
            f"{found!r}: the service uses another registry; {REGISTRY_HINT}"
        )
        self.id, self.asked, self.wanted, self.found = id, asked, wanted, found


class StoreNotServed(TransferError):
    """No process serves the store that is to take the events: start its service, or say which one to stand in for."""

    is_retryable = True

    def __init__(self, store: str, *, log_missing_in: str = "") -> None:
        """`log_missing_in`: the folder, if it has no log."""
        where = ":"
        if log_missing_in:
            where = f", there is no log in {log_missing_in}: correct the URL (--log or SAGALOG_LOG),"
        super().__init__(
            f"no process serves {store}{where} start the service that hosts it, or, if none runs, name that service by "
            f"--serve-as (serve_as=), and the import stands in for it{' and makes the log' if log_missing_in else ''}"
            f"{'' if log_missing_in else f'; if it runs, its registry may be another: {REGISTRY_HINT}'}"
        )
        self.store, self.log_missing_in = store, log_missing_in

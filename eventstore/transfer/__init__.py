"""Streams as files: export them, and import them into another log (see the guide "Export and import streams")."""

from eventstore.transfer.errors import (
    ExportDiffers,
    ExportIncomplete,
    ExportInUse,
    ExportUnreadable,
    FileNotWritten,
    FileUnusable,
    ImportConflict,
    SchemaOfOtherType,
    StoreNotServed,
    TransferError,
    TypesNotTaken,
)
from eventstore.transfer.exporting import Exported, export_streams
from eventstore.transfer.importing import Imported
from eventstore.transfer.serving import import_streams

__all__ = [
    "ExportDiffers",
    "ExportInUse",
    "ExportIncomplete",
    "ExportUnreadable",
    "Exported",
    "FileNotWritten",
    "FileUnusable",
    "ImportConflict",
    "Imported",
    "SchemaOfOtherType",
    "StoreNotServed",
    "TransferError",
    "TypesNotTaken",
    "export_streams",
    "import_streams",
]

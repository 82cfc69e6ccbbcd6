"""Reads labelled images in the layouts people have into the one form that everything else works on."""

from __future__ import annotations

from angiova.data.importers.importing import ImportReport, import_dataset
from angiova.data.importers.options import ImportOptions

__all__ = ["ImportOptions", "ImportReport", "import_dataset"]

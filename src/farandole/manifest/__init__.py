"""Manifests: a service's declarations as an AsyncAPI document, for other repositories and other languages. Read, written, merged. Pure."""

from __future__ import annotations

from farandole.manifest.emit import as_json, as_yaml
from farandole.manifest.folder import read_folder
from farandole.manifest.write import document_of

__all__ = ["as_json", "as_yaml", "document_of", "read_folder"]

"""A catalog of services, events and workflows as a static site, from the declarations: needs no server and no network."""

from __future__ import annotations

from farandole.web.catalog.folder import write
from farandole.web.catalog.site import site

__all__ = ["site", "write"]

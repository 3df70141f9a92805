"""A graph drawn: as SVG that needs no other file, in the languages of Mermaid and Graphviz, and as JSON. Pure."""

from __future__ import annotations

from farandole.graph.draw.data import data
from farandole.graph.draw.dot import dot
from farandole.graph.draw.mermaid import mermaid
from farandole.graph.draw.picture import Arrow, By, Look, Node, Picture, picture_of
from farandole.graph.draw.svg import svg
from farandole.graph.draw.ways import failing

__all__ = ["Arrow", "By", "Look", "Node", "Picture", "data", "dot", "failing", "mermaid", "picture_of", "svg"]

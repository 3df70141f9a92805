"""Causal chains: what caused what in a workflow instance, what became of it, and how that is shown."""

from farandole.observe.chain.chain import Chain, Chains, chains_of
from farandole.observe.chain.handled import Handled, of_row
from farandole.observe.chain.tree import Node

__all__ = ["Chain", "Chains", "Handled", "Node", "chains_of", "of_row"]

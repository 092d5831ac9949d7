"""Ensembles of decision trees on CPU: what they are, their nodes packed for walking, knobs, kernel and Relax operator `rank.tree_ensemble`."""

from te_schedules.trees.ensemble import Aggregate, Ensemble, Mode
from te_schedules.trees.knobs import TreeKnobs
from te_schedules.trees.pack import Packed, pack

__all__ = ["Aggregate", "Ensemble", "Mode", "Packed", "TreeKnobs", "pack"]

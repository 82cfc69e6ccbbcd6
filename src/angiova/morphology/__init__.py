"""Measures of vessels in a mask: branches, bifurcations, calibres, narrowings.

Takes arrays and gives numbers; never imports torch or transformers.
"""

from angiova.morphology.measures import VesselMeasures
from angiova.morphology.measuring import measure_vessels

__all__ = ["VesselMeasures", "measure_vessels"]

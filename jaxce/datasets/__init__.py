"""Small real data sets that ship with the package."""

from jaxce.datasets.cuau import (
    CuAuReference as CuAuReference,
    load_cuau_formation_model as load_cuau_formation_model,
    load_cuau_model as load_cuau_model,
    load_cuau_reference as load_cuau_reference,
)
from jaxce.datasets.perovskite import (
    PerovskiteData as PerovskiteData,
    load_perovskite as load_perovskite,
    load_perovskite_model as load_perovskite_model,
)

__all__ = [
    "CuAuReference",
    "PerovskiteData",
    "load_cuau_formation_model",
    "load_cuau_model",
    "load_cuau_reference",
    "load_perovskite",
    "load_perovskite_model",
]

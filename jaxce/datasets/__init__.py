"""Small real data sets that ship with the package."""

from jaxce.datasets.perovskite import (
    PerovskiteData as PerovskiteData,
    load_perovskite as load_perovskite,
    load_perovskite_model as load_perovskite_model,
)

__all__ = ["PerovskiteData", "load_perovskite", "load_perovskite_model"]

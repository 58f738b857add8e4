"""Models from other programs."""

from jaxce.fitting.linear_models import from_sklearn as from_sklearn

__all__ = ["from_sklearn"]

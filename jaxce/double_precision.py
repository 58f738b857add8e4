"""Float64 for a while, whatever JAX is set to."""

import importlib
from typing import Any

import jax

# A context: `with double_precision(True): ...`. Older JAX has it among its experiments.
_home: Any = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
double_precision: Any = _home.enable_x64

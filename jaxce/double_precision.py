"""Float64 for a while, whatever JAX is set to."""

import jax

# A context: `with double_precision(True): ...`. Older JAX has it among its experiments.
double_precision = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

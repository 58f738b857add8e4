import importlib.metadata
import os

# One thread for linear algebra: there is a worker for each core, and idle threads of BLAS wait busily, at several times
# the cost of the work. Set before NumPy is loaded; programs that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Several test workers share one accelerator, if there is one: none of them takes its whole memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

# Most of the time goes into compilation: without optimisation the tests take four fifths. With XLA_FLAGS= in the
# environment they run what users run, as the last step of .ci/run does.
# Chains in one function rather than operation by operation: jax 0.12 needs no flag for this, jax 0.7 crashes with it.
if importlib.metadata.version("jax").startswith("0.10."):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0"
        " --xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000",
    )
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import threadpoolctl

# For a NumPy that a plugin has loaded before.
threadpoolctl.threadpool_limits(1, "blas")

# Strict: float32 and float64 never mix silently, and ranks broadcast only where that is written out.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

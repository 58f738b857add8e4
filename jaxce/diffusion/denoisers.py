"""Denoisers of other frameworks, and whether a denoiser returns what it should."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxce.diffusion.open_sites import check_logits
from jaxce.diffusion.reverse_process import Denoiser, Guide, Noise, as_state, as_times, denoised, guided, occupancy_of


def host_denoiser(noise: Noise, function: Callable[[Any, np.ndarray], Any]) -> Denoiser:
    """A denoiser that calls a function on the host at every step, whatever framework this uses.

    It has no gradient. Under `vmap` the function gets all samples at once, with one more leading axis.

    Args:
        noise: the noise.
        function: `(state, t) -> logits`, all of NumPy; a `ShuffleState` stays one, with arrays of NumPy.
    """
    num_species = noise.species.labels.shape[-1]

    def denoiser(state: Any, t: Any) -> Any:
        shape = jax.ShapeDtypeStruct((*occupancy_of(state).shape, num_species), t.dtype)
        return jax.pure_callback(call, shape, state, t, vmap_method="broadcast_all")

    def call(state: Any, t: Any) -> np.ndarray:
        state, t = jax.tree.map(np.asarray, state), np.asarray(t)
        logits = np.asarray(function(state, t))
        expected = (*occupancy_of(state).shape, num_species)
        if logits.shape != expected or not np.issubdtype(logits.dtype, np.floating) or np.any(np.isnan(logits)):
            raise ValueError(
                f"the host denoiser must return logits, floats of the shape {expected} without NaN, but returned "
                f"{logits.dtype} of shape {logits.shape} with {np.sum(logits != logits)} NaN."
            )
        return logits.astype(t.dtype)

    return denoiser


def check_denoiser(
    noise: Noise, denoiser: Denoiser, times: Float[ArrayLike, " times"], state: Any, guide: Guide | None = None
) -> None:
    """Raise `ValueError` if a denoiser does not return logits: another shape, NaN, probabilities. Host only.

    The denoiser is called once, for the first time, and so is the guide; arguments as of `reverse_sample`. In there
    values are not known, so that this is to be called before.
    """
    state, first = as_state(noise, state), as_times(times)[0]
    logits = denoised(denoiser, noise, state, first)
    check_logits(noise.species, logits)
    check_logits(noise.species, guided(guide, noise, state, logits, first))

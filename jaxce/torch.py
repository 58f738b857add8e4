"""The bridge to PyTorch: energies of torch tensors, with exact gradients. Needs the extra `torch`.

Tensors are handed over by DLPack, without a copy where torch and JAX have them on the same device.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxce.energies import energy as _occupancy_energy, relaxed_energy, substitution_energies as _substitution_energies
from jaxce.tables import Hamiltonian

try:
    import torch
except ImportError as error:
    raise ImportError("jaxce.torch needs PyTorch: pip install 'jaxce[torch]', or torch alone.") from error

_relaxed = jax.jit(relaxed_energy)
_energy_of_occupancy = jax.jit(_occupancy_energy)
_substitutions = jax.jit(_substitution_energies)


@jax.jit
def _pulled_back(hamiltonian: Hamiltonian, probabilities: Any, cotangent: Any) -> Any:
    """Gradient by the probabilities of the sum of energies times `cotangent`."""
    return jax.vjp(functools.partial(relaxed_energy, hamiltonian), probabilities)[1](cotangent)[0]


def energy(hamiltonian: Hamiltonian, one_hot: torch.Tensor) -> torch.Tensor:
    """Energy of one-hot vectors or probabilities, eV per supercell, differentiable by torch.

    Between one-hot points it is the multilinear extension (`jaxce.relaxed_energy`); at them the gradient holds the
    exact substitution energies, up to a constant per site. Second derivatives are not supported.

    Args:
        hamiltonian: the Hamiltonian; its dtype is that of the computation.
        one_hot: `[..., sites, species]`, any float dtype, which the result keeps. Integer and boolean one-hot vectors
            give energies in the Hamiltonian's dtype, and no gradient.

    Returns:
        `[...]` energies on the device of `one_hot`.

    Raises:
        ValueError: if the shape does not fit the Hamiltonian, the tensor is complex, or JAX's x64 mode was turned off
            after a float64 Hamiltonian was built.
    """
    sites, species = len(hamiltonian.species.kind), hamiltonian.species.labels.shape[-1]
    if one_hot.ndim < 2 or tuple(one_hot.shape[-2:]) != (sites, species):
        raise ValueError(
            f"`one_hot` must have the shape [..., {sites}, {species}] (sites, species), but has {tuple(one_hot.shape)}."
        )
    if one_hot.is_complex():
        raise ValueError(f"`one_hot` must be real, but has dtype {one_hot.dtype}.")
    wanted = _torch_dtype(hamiltonian)
    if wanted == torch.float64 and not jax.config.read("jax_enable_x64"):
        raise ValueError(
            "the Hamiltonian is in float64, but JAX's x64 mode is off, so the numbers would be cut to float32: call "
            "jax.config.update('jax_enable_x64', True) before anything else."
        )
    if not one_hot.is_floating_point():
        return _Energy.apply(one_hot.to(wanted), hamiltonian)
    return _Energy.apply(one_hot.to(wanted), hamiltonian).to(one_hot.dtype)


def occupancy_energy(hamiltonian: Hamiltonian, occupancy: torch.Tensor) -> torch.Tensor:
    """`[...]` energies of occupancies `[..., sites]` of species codes, eV per supercell, in the Hamiltonian's dtype.

    Raises:
        ValueError: if the tensor is not of integers or does not fit the Hamiltonian.
    """
    return _to_torch(_energy_of_occupancy(hamiltonian, _to_jax(_checked_codes(hamiltonian, occupancy))), occupancy)


def substitution_energies(hamiltonian: Hamiltonian, occupancy: torch.Tensor) -> torch.Tensor:
    """`[..., sites, species]` energy change of every substitution in occupancies `[..., sites]`, eV; +inf: not allowed.

    Raises:
        ValueError: if the tensor is not of integers or does not fit the Hamiltonian.
    """
    return _to_torch(_substitutions(hamiltonian, _to_jax(_checked_codes(hamiltonian, occupancy))), occupancy)


class _Energy(torch.autograd.Function):
    """The relaxed energy and its gradient, both computed by JAX."""

    @staticmethod
    def forward(ctx: Any, one_hot: torch.Tensor, hamiltonian: Hamiltonian) -> torch.Tensor:
        ctx.save_for_backward(one_hot)
        ctx.hamiltonian = hamiltonian
        return _to_torch(_relaxed(hamiltonian, _to_jax(one_hot)), one_hot)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        (one_hot,) = ctx.saved_tensors
        gradient = _pulled_back(ctx.hamiltonian, _to_jax(one_hot), _to_jax(grad_outputs[0]))
        return _to_torch(gradient, one_hot), None


def _checked_codes(hamiltonian: Hamiltonian, occupancy: torch.Tensor) -> torch.Tensor:
    sites = len(hamiltonian.species.kind)
    is_integer = not (occupancy.is_floating_point() or occupancy.is_complex() or occupancy.dtype == torch.bool)
    if not is_integer or occupancy.ndim < 1 or occupancy.shape[-1] != sites:
        raise ValueError(
            f"`occupancy` must be integers of the shape [..., {sites}], but is {occupancy.dtype} "
            f"of shape {tuple(occupancy.shape)}."
        )
    # JAX without float64 has no int64 either.
    return occupancy.to(torch.int32)


def _torch_dtype(hamiltonian: Hamiltonian) -> torch.dtype:
    floats = {leaf.dtype for leaf in jax.tree.leaves(hamiltonian.terms) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    return torch.float64 if jnp.dtype("float64") in floats else torch.float32


def _to_jax(tensor: torch.Tensor) -> jax.Array:
    # JAX takes the row-major layout only.
    return jax.dlpack.from_dlpack(tensor.detach().contiguous())


def _to_torch(array: jax.Array, like: torch.Tensor) -> torch.Tensor:
    return torch.from_dlpack(array).to(like.device)

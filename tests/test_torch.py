"""The bridge to PyTorch; skipped without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce

torch = pytest.importorskip("torch")

bridge = jaxce.torch


@pytest.fixture(scope="module")
def supercell():
    prim = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Al", "Cu", "Ni"], ["Ti", "X"]])
    return jaxce.Supercell(prim, 2)


@pytest.fixture(scope="module")
def expansion(supercell):
    space = jaxce.ClusterSpace(supercell.prim, {2: 4.1, 3: 4.1})
    return jaxce.ClusterExpansion(space, np.random.default_rng(0).normal(0, 1, space.num_correlations))


@pytest.fixture(scope="module")
def hamiltonian(expansion, supercell):
    return jaxce.build_hamiltonian(expansion, supercell)


@pytest.fixture(scope="module")
def occupancy(supercell):
    composition = {"Al": 3, "Cu": 3, "Ni": 2, "Ti": 5, "X": 3}
    return np.asarray(jaxce.random_occupancy(jax.random.key(0), supercell, composition, (4,)))


def one_hot_of(occupancy):
    return torch.nn.functional.one_hot(torch.tensor(occupancy.astype(np.int64)), 3)


def test_energies_and_gradients_are_those_of_jax(hamiltonian, occupancy):
    one_hot = one_hot_of(occupancy).double().requires_grad_()
    energies = bridge.energy(hamiltonian, one_hot)
    assert energies.dtype == torch.float64
    np.testing.assert_allclose(energies.detach().numpy(), jaxce.energy(hamiltonian, occupancy), rtol=0, atol=1e-12)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    (energies * weights).sum().backward()
    wanted = jax.grad(lambda p: jnp.sum(jaxce.relaxed_energy(hamiltonian, p) * weights.numpy()))(
        jnp.asarray(one_hot.detach().numpy())
    )
    np.testing.assert_allclose(one_hot.grad.numpy(), wanted, rtol=0, atol=1e-12)


def test_gradients_are_finite_differences_also_between_one_hots(hamiltonian):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 16, 3), generator=generator, dtype=torch.float64)
    logits[:, 8:, 2] = -torch.inf
    probabilities = torch.softmax(logits, dim=-1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: bridge.energy(hamiltonian, p), probabilities, eps=1e-5, atol=1e-6)


def test_gradients_flow_through_a_network_and_odd_layouts(hamiltonian, occupancy):
    one_hot = one_hot_of(occupancy).double()
    strided = one_hot.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not strided.is_contiguous()
    weight = torch.ones(3, 3, dtype=torch.float64, requires_grad=True)
    energies = bridge.energy(hamiltonian, strided.reshape(2, 2, 16, 3) @ weight)
    assert energies.shape == (2, 2)
    energies.sum().backward()
    assert torch.isfinite(weight.grad).all()
    assert weight.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_float_types_are_kept(expansion, supercell, occupancy, dtype):
    single = jaxce.build_hamiltonian(expansion, supercell, dtype=jnp.float32)
    one_hot = one_hot_of(occupancy).to(dtype).requires_grad_()
    energies = bridge.energy(single, one_hot)
    assert energies.dtype == dtype
    wanted = np.asarray(jaxce.energy(single, occupancy))
    np.testing.assert_allclose(energies.detach().float().numpy(), wanted, rtol=0.01, atol=1e-4)
    energies.sum().backward()
    assert one_hot.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_give_energies_in_the_hamiltonians_type(hamiltonian, occupancy, dtype):
    energies = bridge.energy(hamiltonian, one_hot_of(occupancy).to(dtype))
    assert energies.dtype == torch.float64
    assert not energies.requires_grad
    np.testing.assert_allclose(energies.numpy(), jaxce.energy(hamiltonian, occupancy), rtol=0, atol=1e-12)


def test_occupancies_give_energies_and_substitutions(hamiltonian, occupancy):
    codes = torch.tensor(occupancy.astype(np.int64))
    np.testing.assert_allclose(bridge.occupancy_energy(hamiltonian, codes), jaxce.energy(hamiltonian, occupancy))
    changes = bridge.substitution_energies(hamiltonian, codes)
    np.testing.assert_allclose(changes, jaxce.substitution_energies(hamiltonian, occupancy))
    assert torch.isinf(changes[:, 8:, 2]).all()


def test_what_does_not_fit_is_refused(hamiltonian, occupancy):
    one_hot = one_hot_of(occupancy).double()
    with pytest.raises(ValueError, match=r"\[..., 16, 3\]"):
        bridge.energy(hamiltonian, one_hot[..., :2])
    with pytest.raises(ValueError, match="must be real"):
        bridge.energy(hamiltonian, one_hot.to(torch.complex128))
    with pytest.raises(ValueError, match="must be integers"):
        bridge.occupancy_energy(hamiltonian, one_hot[..., 0])
    with pytest.raises(ValueError, match="must be integers"):
        bridge.substitution_energies(hamiltonian, one_hot[..., 0] > 0)

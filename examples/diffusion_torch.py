"""The oracle in a PyTorch training loop: exact energies and their gradients as a loss, through `jaxce.torch`.

A torch model of independent sites with learned logits minimises the variational free energy <E> - T S of Cu-Au. The
mean energy is exact (`relaxed_energy`, multilinear), and so is its gradient; no sample is drawn for the training.

Run: python examples/diffusion_torch.py [--short]
"""

import sys

import ase.units
import jax

import jaxce

try:
    import torch

    import jaxce.torch as oracle
except ImportError:
    print("This example needs PyTorch: pip install 'jaxce[torch]'.")
    sys.exit(0)


def main(num_steps: int, num_models: int = 64, kelvin: float = 500.0) -> None:
    model = jaxce.datasets.load_cuau_formation_model()
    supercell = jaxce.Supercell(model.space.prim, 4)
    hamiltonian = jaxce.build_hamiltonian(model, supercell)
    torch.manual_seed(0)

    # Many independent models at once: a mean field has many minima, and not all starts lead to the ordered state.
    logits = (torch.randn(num_models, supercell.num_sites, 2)).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    beta = 1 / (ase.units.kB * kelvin)
    for step in range(num_steps):
        probabilities = torch.softmax(logits, dim=-1)
        entropy = -torch.sum(probabilities * torch.log_softmax(logits, dim=-1), dim=(-2, -1))
        energy = oracle.energy(hamiltonian, probabilities)
        free_energy = beta * energy - entropy
        optimizer.zero_grad()
        free_energy.sum().backward()
        optimizer.step()
        if (step + 1) % (num_steps // 5) == 0:
            per_atom = 1e3 * energy.detach() / supercell.num_sites
            print(f"step {step + 1:4d}: <E> {per_atom.mean():.2f} meV per atom, lowest {per_atom.min():.2f}")

    # What the models say is likeliest, its energy, and whether a single substitution would lower it.
    occupancy = torch.argmax(logits.detach(), dim=-1)
    energies = oracle.occupancy_energy(hamiltonian, occupancy)
    best = torch.argmin(energies)
    changes = oracle.substitution_energies(hamiltonian, occupancy[best])
    to_other = torch.gather(changes, -1, 1 - occupancy[best][:, None])
    reference = jaxce.datasets.load_cuau_reference("canonical", 500)
    ordered = jaxce.energy(hamiltonian, reference.ordered_state)
    print(f"lowest of {num_models} models: {1e3 * energies[best] / supercell.num_sites:.2f} meV per atom")
    print(f"the ground state has {1e3 * float(ordered) / supercell.num_sites:.2f} meV per atom")
    print(f"best single substitution: {float(to_other.min()):+.4f} eV; gold: {int(occupancy[best].sum())} of 64 sites")
    print(f"torch {torch.__version__}, jax {jax.__version__}")


if __name__ == "__main__":
    main(100 if "--short" in sys.argv else 500)

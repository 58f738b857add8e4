"""A diffusion model of Cu-Au at exact composition, 64 sites, judged against tempering: alone, guided, and corrected.

One small network learns to undo shuffle noise at all temperatures. Its samples are then guided by exact energies, and
corrected: by weights of their paths, and by drawing them anew in proportion to these and a short Markov chain.

Run: python examples/diffusion_cuau.py [--short] [folder]
"""

import pathlib
import sys
import tempfile
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np
from diffusion_network import all_samples, new_network, row_of, shares, shells, train
from rich.console import Console
from rich.table import Table

import jaxce
from jaxce import diffusion, plotting

LADDER = np.array([500, 560, 620, 680, 730, 800, 950, 1200])
REPORTED = (500, 680, 1200)
COMPOSITION = {"Cu": 32, "Au": 32}


class Size(NamedTuple):
    """How much of everything: ladders and samples of each rung, width, training steps, reverse steps, samples."""

    num_ladders: int
    num_samples: int
    width: int
    num_training: int
    num_reverse: int
    num_drawn: int


SHORT = Size(2, 20, 16, 30, 16, 64)
FULL = Size(16, 250, 48, 1000, 64, 1024)


def main(folder: pathlib.Path, size: Size) -> None:
    model = jaxce.datasets.load_cuau_formation_model()
    supercell = jaxce.Supercell(model.space.prim, 4)
    hamiltonian = jaxce.build_hamiltonian(model, supercell)
    tables, energy = jaxce.build_tables(model.space, supercell), jax.jit(jaxce.energy)
    noise, neighbours = diffusion.ShuffleNoise(supercell), shells(supercell, 5.5)

    occupancies, kelvin = tempering_samples(supercell, hamiltonian, size)
    print(f"{len(kelvin)} Monte Carlo samples at {len(LADDER)} temperatures")
    graphdef, weights = new_network(noise, neighbours, size.width, depth=3)
    weights = train(
        jax.random.key(1), graphdef, weights, noise, neighbours, occupancies, kelvin, size.num_training, batch_size=64
    )

    table = Table(
        "K", "samples", "energy, meV/atom", "std", "JSD, nats (floor)", "SRO error (floor)", "ESS", "modes", "s"
    )
    counts, drawn = diffusion.composition_counts(supercell, COMPOSITION), {}
    sizes = {"graphdef": graphdef, "num_steps": size.num_reverse, "num_samples": size.num_drawn}
    for kelvin in REPORTED:
        reference = jaxce.datasets.load_cuau_reference("canonical", kelvin)
        yardstick = diffusion.Yardstick(supercell, reference.energy_edges, tables, reference.ordered_state)
        table.add_row(str(kelvin), "tempering", f"{1e3 * reference.energy[0]:.2f}", *6 * [""])
        samples = all_samples(20, noise, hamiltonian, weights, neighbours, counts, kelvin, **sizes)
        for name, (codes, log_weights, seconds) in samples.items():
            energies = np.asarray(energy(hamiltonian, codes))
            found = diffusion.evaluate(yardstick, reference.halves, codes, energies, log_weights=log_weights)
            modes = "" if found.mode_coverage is None else f"{found.mode_coverage.value:.2f}"
            table.add_row("", name, *row_of(found, energies / 64, log_weights), modes, f"{seconds:.1f}")
            drawn[kelvin, name] = (codes, energies / 64, log_weights, reference)
    Console(width=120).print(table)
    draw(folder, supercell, drawn)
    write_structures(folder, supercell, drawn)


def tempering_samples(
    supercell: jaxce.Supercell, hamiltonian: jaxce.Hamiltonian, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Training data: occupancies of all rungs, and their temperatures."""
    start = jaxce.random_occupancy(jax.random.key(0), supercell, COMPOSITION, (size.num_ladders,))
    result = jaxce.run_tempering(
        jax.random.key(0),
        hamiltonian,
        start,
        temperatures=LADDER,
        num_sweeps=10 * (size.num_samples + 25),
        sample_every=10,
        observables=[diffusion.occupancy],
        method="fields",  # compiles faster than a choice of two
    )
    codes = np.asarray(result.observables["occupancy"])[:, :, 25:]
    kelvin = np.broadcast_to(LADDER[:, None], codes.shape[:-1])
    return codes.reshape(-1, supercell.num_sites).astype(np.int8), kelvin.ravel()


def draw(folder: pathlib.Path, supercell: jaxce.Supercell, drawn: dict[Any, Any]) -> None:
    """Histograms of the energy, beside the reference, and of the order parameter."""
    energies, orders, edges, bins = {}, {}, {}, np.linspace(0, 1, 33)
    for (kelvin, name), (codes, per_atom, log_weights, reference) in drawn.items():
        title, share = f"{kelvin} K", shares(log_weights, len(codes))
        edges[title] = 1e3 * reference.energy_edges
        panel = energies.setdefault(title, {"tempering": reference.halves["energy"].mean(axis=0)})
        panel[name] = plotting.binned(1e3 * per_atom, edges[title], share)
        order = np.max(np.abs(np.einsum("vs,ns->nv", variants(supercell, reference), 2.0 * codes - 1)), axis=1) / 64
        orders.setdefault(title, {})[name] = plotting.binned(order, bins, share)
    figure = plotting.histogram_plot(energies, edges, "energy", "meV per atom", reference="tempering")
    figure.savefig(folder / "cuau_energies.png", dpi=120)
    plotting.histogram_plot(orders, bins, "order parameter of L1$_0$").savefig(folder / "cuau_orders.png", dpi=120)
    print(f"histograms: {folder / 'cuau_energies.png'}, {folder / 'cuau_orders.png'}")


def variants(supercell: jaxce.Supercell, reference: Any) -> np.ndarray:
    """`[variants, sites]` the ordered states as +1 (gold) and -1 (copper)."""
    return 2.0 * diffusion.ordered_variants(supercell, reference.ordered_state) - 1


def write_structures(folder: pathlib.Path, supercell: jaxce.Supercell, drawn: dict[Any, Any]) -> None:
    """The samples at the lowest temperature, and the best of them."""
    codes, per_atom, _, _ = drawn[REPORTED[0], "SMC, 20 sweeps"]
    jaxce.write_trajectory(str(folder / "cuau_500K.extxyz"), supercell, codes[:100], 64 * per_atom[:100])
    lowest = jaxce.occupancy_to_ase(supercell, codes[np.argmin(per_atom)])
    jaxce.io.write_poscar(folder / "cuau_lowest.vasp", lowest)
    print(f"structures: {folder / 'cuau_500K.extxyz'}, {folder / 'cuau_lowest.vasp'}")


if __name__ == "__main__":
    # ASE 3.29 with NumPy 2.5.
    warnings.filterwarnings("ignore", "Setting the shape on a NumPy array", DeprecationWarning, "ase")
    words = [word for word in sys.argv[1:] if word != "--short"]
    target = pathlib.Path(words[0] if words else tempfile.mkdtemp(prefix="jaxce-"))
    target.mkdir(parents=True, exist_ok=True)
    main(target, SHORT if "--short" in sys.argv else FULL)

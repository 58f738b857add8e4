"""A diffusion model of the perovskite (Sr,La)(Ti,Fe)(O,vacancy)3 on 160 sites, at exact composition of each sublattice.

As examples/diffusion_cuau.py; half of the tempering samples are the training data, the other half the reference.

Run: python examples/diffusion_perovskite.py [--short] [folder]
"""

import pathlib
import sys
import tempfile
from typing import Any, NamedTuple

import jax
import numpy as np
from diffusion_network import all_samples, new_network, row_of, shares, shells, train
from rich.console import Console
from rich.table import Table

import jaxce
from jaxce import diffusion, plotting

COMPOSITION = {"A": {"Sr": 24, "La": 8}, "B": {"Ti": 24, "Fe": 8}, "O": {"O": 92, "X": 4}}
LADDER = jaxce.geometric_temperatures(1000, 4000, 8)


class Size(NamedTuple):
    """How much of everything: ladders and samples of each rung, network, training steps, reverse steps, samples."""

    num_ladders: int
    num_samples: int
    width: int
    num_training: int
    num_reverse: int
    num_drawn: int


SHORT = Size(2, 20, 16, 20, 6, 32)
FULL = Size(16, 150, 32, 800, 80, 256)


def main(folder: pathlib.Path, size: Size) -> None:
    model = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(model.space.prim, (2, 4, 4))
    hamiltonian, energy = jaxce.build_hamiltonian(model, supercell), jax.jit(jaxce.energy)
    noise, neighbours = diffusion.ShuffleNoise(supercell), shells(supercell, 4.0)

    # Ladders are independent of each other.
    codes = tempering_samples(supercell, hamiltonian, size)
    half = len(codes) // 2
    kelvin = np.broadcast_to(LADDER[:, None], codes[:half].shape[:-1]).ravel()
    graphdef, weights = new_network(noise, neighbours, size.width, depth=3)
    weights = train(
        jax.random.key(1), graphdef, weights, noise, neighbours, codes[:half].reshape(-1, supercell.num_sites), kelvin,
        size.num_training, batch_size=32,
    )  # fmt: skip

    counts = diffusion.composition_counts(supercell, COMPOSITION)
    sizes = {"graphdef": graphdef, "num_steps": size.num_reverse, "num_samples": size.num_drawn}
    table = Table("K", "samples", "energy, meV/f.u.", "std", "JSD, nats (floor)", "SRO error (floor)", "ESS", "s")
    drawn = {}
    for rung in (0, len(LADDER) // 2):
        reference = codes[half:, rung].reshape(-1, supercell.num_sites)
        energies = np.asarray(energy(hamiltonian, reference), float)
        edges = np.linspace(energies.min() - 1e-3, energies.max() + 1e-3, 33) / supercell.num_prims
        yardstick = diffusion.Yardstick(supercell, edges, num_shells=1)
        halves = yardstick.reference(reference, energies)
        mean, std = 1e3 * energies.mean() / supercell.num_prims, 1e3 * energies.std() / supercell.num_prims
        table.add_row(f"{LADDER[rung]:.0f}", "tempering", f"{mean:.2f}", f"{std:.2f}", *4 * [""])
        drawn[rung, "tempering"] = (reference, energies / supercell.num_prims, None)
        samples = all_samples(20, noise, hamiltonian, weights, neighbours, counts, LADDER[rung], **sizes)
        for name, (found, log_weights, seconds) in samples.items():
            energies = np.asarray(energy(hamiltonian, found), float)
            result = diffusion.evaluate(yardstick, halves, found, energies, log_weights=log_weights)
            row = row_of(result, energies / supercell.num_prims, log_weights)
            table.add_row("", name, *row, f"{seconds:.1f}")
            drawn[rung, name] = (found, energies / supercell.num_prims, log_weights)
    Console(width=120).print(table)
    check_composition(supercell, drawn)
    draw(folder / "perovskite.png", drawn)
    best = min((value for key, value in drawn.items() if key[1] != "tempering"), key=lambda value: value[1].min())
    atoms = jaxce.occupancy_to_ase(supercell, best[0][np.argmin(best[1])])
    jaxce.io.write_poscar(folder / "perovskite_lowest.vasp", atoms)
    print(f"lowest of all: {supercell.num_prims * best[1].min():.3f} eV, {folder / 'perovskite_lowest.vasp'}")


def tempering_samples(supercell: jaxce.Supercell, hamiltonian: jaxce.Hamiltonian, size: Size) -> np.ndarray:
    """`[ladders, temperatures, samples, sites]` occupancies."""
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
    return np.asarray(result.observables["occupancy"])[:, :, 25:].astype(np.int8)


def check_composition(supercell: jaxce.Supercell, drawn: dict[Any, Any]) -> None:
    """Say that every sample has the composition of every sublattice, after looking."""
    for sublattice in supercell.sublattices:
        counts = COMPOSITION.get(sublattice.name, {})
        for codes, _, _ in drawn.values():
            for code, species in enumerate(sublattice.species):
                if len(counts) > 1 and np.any(np.sum(codes[:, sublattice.sites] == code, axis=1) != counts[species]):
                    raise RuntimeError(f"sublattice {sublattice.name} has lost its composition.")
    number = sum(len(codes) for codes, _, _ in drawn.values())
    print(f"the composition of every sublattice is exact in all {number} structures")


def draw(path: pathlib.Path, drawn: dict[Any, Any]) -> None:
    """Histograms of the energy at both temperatures."""
    panels, edges = {}, {}
    for rung in sorted({rung for rung, _ in drawn}):
        title, of_rung = f"{LADDER[rung]:.0f} K", {name: drawn[other, name] for other, name in drawn if other == rung}
        energies = 1e3 * np.concatenate([per_prim for _, per_prim, _ in of_rung.values()])
        edges[title] = np.linspace(energies.min(), energies.max(), 41)
        panels[title] = {
            name: plotting.binned(1e3 * per_prim, edges[title], shares(log_weights, len(codes)))
            for name, (codes, per_prim, log_weights) in of_rung.items()
        }
    figure = plotting.histogram_plot(panels, edges, "energy", "meV per formula unit", reference="tempering")
    figure.savefig(path, dpi=120)
    print(f"histograms: {path}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--short"]
    target = pathlib.Path(words[0] if words else tempfile.mkdtemp(prefix="jaxce-"))
    target.mkdir(parents=True, exist_ok=True)
    main(target, SHORT if "--short" in sys.argv else FULL)

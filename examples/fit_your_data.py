"""From structures with energies to a model: cutoffs by nested cross-validation, error bars, what to calculate next.

Run: python examples/fit_your_data.py [--short]
"""

import sys

import jax

import jaxce


def main(short: bool = False) -> None:
    # Your own data: read_training_data("folder, database, extxyz, CSV or pymatgen JSON").
    data = jaxce.datasets.load_perovskite()
    keep = data.info["on_lattice"] & (data.info["charge_excess"] <= 0.26)
    rows = keep.to_numpy().nonzero()[0][:: 6 if short else 1]
    training_set = jaxce.map_training_data(data.prim, [data.structures[i] for i in rows], data.energies[rows])
    print(training_set.summary(), end="\n\n")

    choices = [{2: 4.0}, {2: 5.6}, {2: 7.0}, {2: 7.0, 3: 4.0}, {2: 7.0, 3: 5.0}]
    selection = jaxce.select_cutoffs(training_set, choices, cv=5)
    print(selection.summary(), end="\n\n")

    result = jaxce.fit_training_set(selection.space, training_set, test_fraction=0.1)
    curve = jaxce.learning_curve(selection.space, training_set, num_repeats=2)
    result.report("fit-report", curve)

    # The energy of a structure with its error, from the model and from draws of its coefficients.
    supercell = jaxce.Supercell(data.prim, (2, 4, 4))
    composition = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}
    occupancy = jaxce.random_occupancy(jax.random.key(0), supercell, composition)
    energies, errors = result.predict([jaxce.occupancy_to_ase(supercell, occupancy)])
    hamiltonians = result.sample_posterior(jax.random.key(1), 4 if short else 50).hamiltonians(supercell)
    drawn = jax.jit(jax.vmap(jaxce.energy, in_axes=(0, None)))(hamiltonians, occupancy)
    # Estimators without a posterior give no errors.
    error = "unknown" if errors is None else f"{errors[0]:.3f}"
    print(f"\n{energies[0]:.3f} +- {error} eV (without noise {drawn.std():.3f} eV)")

    # Five structures that would tell most about what is still open.
    candidates = jaxce.random_candidates(jax.random.key(2), data.prim, num_prims=4, num_candidates=300)
    choice = jaxce.choose_structures(
        selection.space, candidates, 5, known=result.matrix, posterior=result.posterior, criterion="variance"
    )
    for row in choice.rows:
        print("calculate:", jaxce.occupancy_to_ase(*candidates[row]).get_chemical_formula())


if __name__ == "__main__":
    main("--short" in sys.argv)

"""What `jaxce fit` does: files in, a model and its report out."""

import contextlib
import pathlib
import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from rich.console import Console
from sklearn.exceptions import ConvergenceWarning

from jaxce import estimators
from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.fit import FitResult, fit_training_set
from jaxce.fitting.learning_curves import learning_curve
from jaxce.fitting.model_selection import select_cutoffs
from jaxce.fitting.posterior_file import write_posterior
from jaxce.fitting.training_set import EnergyUnit, map_training_data
from jaxce.io.frames import ReadFailure
from jaxce.io.pymatgen_json import prim_from_pymatgen
from jaxce.io.structure_files import read_frames
from jaxce.io.training_data import read_training_data
from jaxce.lattice.prim import Prim

POSTERIOR = "posterior.npz"
# Names on the command line, and what makes the estimator of a cluster space.
ESTIMATORS = {
    "physical-prior": estimators.physical_prior,
    "ridge": lambda space: estimators.ridge(),
    "bayesian-ridge": lambda space: estimators.bayesian_ridge(),
    "ard": lambda space: estimators.ard(),
    "lasso": lambda space: estimators.lasso(),
    "adaptive-lasso": lambda space: estimators.adaptive_lasso(),
    "elastic-net": lambda space: estimators.elastic_net(),
    "group-lasso": estimators.group_lasso,
    "hierarchical-lasso": estimators.hierarchical_lasso,
    "orthogonal-matching-pursuit": lambda space: estimators.orthogonal_matching_pursuit(),
    "recursive-elimination": lambda space: estimators.recursive_elimination(),
    "least-squares": lambda space: estimators.least_squares(),
}


def run_fit(
    source: Sequence[pathlib.Path],
    prim: Prim,
    cutoffs: Sequence[Mapping[int, float]],
    folder: pathlib.Path,
    *,
    estimator: str = "physical-prior",
    energy: str | None = None,
    energies_per: EnergyUnit = "structure",
    structures: pathlib.Path | None = None,
    cv: int = 10,
    test_fraction: float = 0.0,
    with_learning_curve: bool = True,
) -> FitResult:
    """Read, map, choose cutoffs if there are several, fit, and write the report into `folder`."""
    estimator_of = ESTIMATORS[estimator]
    console = Console()
    with console.status("reading"):
        paths: Any = source[0] if len(source) == 1 else list(source)
        data = read_training_data(paths, energy=energy, structures=structures)
    console.print(data.summary(), markup=False, highlight=False)
    with console.status(f"mapping {len(data)} structures"):
        training_set = map_training_data(prim, data.structures, data.energies, energies_per=energies_per)
    space = ClusterSpace(prim, cutoffs[0])
    if len(cutoffs) > 1:
        with console.status(f"comparing {len(cutoffs)} sets of cutoffs"):
            selection = select_cutoffs(training_set, cutoffs, estimator_of, cv=cv)
        console.print(selection.summary(), markup=False, highlight=False, soft_wrap=True)
        space = selection.space
    with console.status(f"fitting {space.num_correlations} functions"):
        result = fit_training_set(space, training_set, estimator_of(space), cv, test_fraction=test_fraction)
        curve = learning_curve(space, training_set, estimator_of(space)) if with_learning_curve else None
    result.report(folder, curve)
    # Predictions with standard deviations need it; without one, that of an older fit must not stay.
    (folder / POSTERIOR).unlink(missing_ok=True)
    if result.posterior is not None:
        write_posterior(folder / POSTERIOR, result.posterior)
    console.print(f"report and model in {folder}", markup=False, highlight=False)
    return result


@contextlib.contextmanager
def convergence_warnings() -> Generator[list[str]]:
    """A list of what is said of fits that do not converge; they are shown like other warnings."""
    found: list[str] = []
    show: Any = warnings.showwarning

    def note(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, ConvergenceWarning):
            found.append(str(message))
        show(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.showwarning = note  # ty: ignore[invalid-assignment]
        yield found


def read_prim(path: pathlib.Path, species: Mapping[str, Sequence[str]]) -> Prim:
    """The prim of a structure file with the species of each symbol, or of a disordered structure in pymatgen's JSON.

    Raises:
        ValueError: if the file cannot be read as either.
    """
    if path.suffix == ".json" and not species:
        return prim_from_pymatgen(path)
    first, *others = read_frames(path, str(path), all_steps=False)
    if isinstance(first, ReadFailure):
        raise ValueError(f"the prim {path} cannot be read: {first.reason}")
    if others:
        raise ValueError(f"{path} holds {1 + len(others)} structures, but a prim is one: give a file with it alone.")
    if not species:
        raise ValueError(f"say which species the sites of {path} may hold, such as --species Ti:Ti,Fe.")
    return Prim.from_ase(first.atoms, species)

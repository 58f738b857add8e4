"""jaxce: cluster expansions as pure, batched, differentiable JAX functions."""

import importlib
from typing import Any

from jaxce import datasets as datasets, estimators as estimators, io as io, observables as observables
from jaxce.build import (
    build_hamiltonian as build_hamiltonian,
    build_pair_term as build_pair_term,
    build_tables as build_tables,
)
from jaxce.calculator import ase_calculator as ase_calculator
from jaxce.cluster_expansion import ClusterExpansion as ClusterExpansion
from jaxce.cluster_space import ClusterSpace as ClusterSpace
from jaxce.correlation_vectors import (
    correlations as correlations,
    substitution_correlations as substitution_correlations,
    swap_correlations as swap_correlations,
)
from jaxce.devices import over_devices as over_devices
from jaxce.energies import (
    all_swap_energies as all_swap_energies,
    energy as energy,
    relaxed_energy as relaxed_energy,
    substitution_energies as substitution_energies,
    swap_energy as swap_energy,
)
from jaxce.expansion_samples import ExpansionSamples as ExpansionSamples
from jaxce.fitting.convex_hull import ground_state_check as ground_state_check, lower_hull as lower_hull
from jaxce.fitting.design import design_diagnostics as design_diagnostics
from jaxce.fitting.fit import FitResult as FitResult, fit as fit, fit_training_set as fit_training_set
from jaxce.fitting.formation_energies import formation_energies as formation_energies
from jaxce.fitting.learning_curves import LearningCurve as LearningCurve, learning_curve as learning_curve
from jaxce.fitting.model_selection import CutoffSelection as CutoffSelection, select_cutoffs as select_cutoffs
from jaxce.fitting.structure_choice import (
    Candidate as Candidate,
    StructureChoice as StructureChoice,
    choose_structures as choose_structures,
    enumerated_candidates as enumerated_candidates,
    random_candidates as random_candidates,
)
from jaxce.fitting.structure_weights import structure_weights as structure_weights
from jaxce.fitting.training_set import TrainingSet as TrainingSet, map_training_data as map_training_data
from jaxce.fitting.transformer import CorrelationTransformer as CorrelationTransformer
from jaxce.grouping import by_supercell as by_supercell
from jaxce.io.training_data import TrainingData as TrainingData, read_training_data as read_training_data
from jaxce.lattice.enumeration import (
    enumerate_occupancies as enumerate_occupancies,
    enumerate_structures as enumerate_structures,
)
from jaxce.lattice.equivalence import canonical_key as canonical_key
from jaxce.lattice.ewald import EwaldInteraction as EwaldInteraction
from jaxce.lattice.orbits import Orbit as Orbit
from jaxce.lattice.prim import Prim as Prim
from jaxce.lattice.structures import (
    Mapping as Mapping,
    map_structure as map_structure,
    map_structures as map_structures,
    occupancy_from_ase as occupancy_from_ase,
    occupancy_to_ase as occupancy_to_ase,
)
from jaxce.lattice.supercell import Supercell as Supercell
from jaxce.lattice.supercell_shapes import distinct_supercells as distinct_supercells
from jaxce.lattice.symmetry import reduce_to_primitive as reduce_to_primitive
from jaxce.lattice.trajectory import write_trajectory as write_trajectory
from jaxce.oracle import Oracle as Oracle, OracleState as OracleState
from jaxce.padding import pad_batch as pad_batch
from jaxce.random_structures import (
    generate_random_structure as generate_random_structure,
    generate_random_structure_batch as generate_random_structure_batch,
)
from jaxce.sampling.accumulators import Histogram as Histogram, Moments as Moments
from jaxce.sampling.annealing import anneal as anneal
from jaxce.sampling.ensemble_moves import Moves as Moves, Proposal as Proposal
from jaxce.sampling.ensembles import (
    VCSGC as VCSGC,
    Canonical as Canonical,
    ChargeNeutral as ChargeNeutral,
    Constrained as Constrained,
    Hybrid as Hybrid,
    SemiGrand as SemiGrand,
)
from jaxce.sampling.monte_carlo import run_monte_carlo as run_monte_carlo
from jaxce.sampling.precision import Precision as Precision
from jaxce.sampling.random_occupancies import log_probability as log_probability, random_occupancy as random_occupancy
from jaxce.sampling.results import MonteCarloResult as MonteCarloResult
from jaxce.sampling.tempering import (
    TemperingResult as TemperingResult,
    geometric_temperatures as geometric_temperatures,
    run_tempering as run_tempering,
    tune_temperatures as tune_temperatures,
)
from jaxce.tables import Batch as Batch, ClusterTables as ClusterTables, Hamiltonian as Hamiltonian

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Parts that not everybody needs are imported when they are asked for; PyTorch is optional."""
    if name in ("diffusion", "torch"):
        return importlib.import_module(f"jaxce.{name}")
    raise AttributeError(f"module 'jaxce' has no attribute {name!r}")


__all__ = [
    "VCSGC",
    "Batch",
    "Candidate",
    "Canonical",
    "ChargeNeutral",
    "ClusterExpansion",
    "ClusterSpace",
    "ClusterTables",
    "Constrained",
    "CorrelationTransformer",
    "CutoffSelection",
    "EwaldInteraction",
    "ExpansionSamples",
    "FitResult",
    "Hamiltonian",
    "Histogram",
    "Hybrid",
    "LearningCurve",
    "Mapping",
    "Moments",
    "MonteCarloResult",
    "Moves",
    "Oracle",
    "OracleState",
    "Orbit",
    "Precision",
    "Prim",
    "Proposal",
    "SemiGrand",
    "StructureChoice",
    "Supercell",
    "TemperingResult",
    "TrainingData",
    "TrainingSet",
    "all_swap_energies",
    "anneal",
    "ase_calculator",
    "build_hamiltonian",
    "build_pair_term",
    "build_tables",
    "by_supercell",
    "canonical_key",
    "choose_structures",
    "correlations",
    "datasets",
    "design_diagnostics",
    "distinct_supercells",
    "energy",
    "enumerate_occupancies",
    "enumerate_structures",
    "enumerated_candidates",
    "estimators",
    "fit",
    "fit_training_set",
    "formation_energies",
    "generate_random_structure",
    "generate_random_structure_batch",
    "geometric_temperatures",
    "ground_state_check",
    "io",
    "learning_curve",
    "log_probability",
    "lower_hull",
    "map_structure",
    "map_structures",
    "map_training_data",
    "observables",
    "occupancy_from_ase",
    "occupancy_to_ase",
    "over_devices",
    "pad_batch",
    "random_candidates",
    "random_occupancy",
    "read_training_data",
    "reduce_to_primitive",
    "relaxed_energy",
    "run_monte_carlo",
    "run_tempering",
    "select_cutoffs",
    "structure_weights",
    "substitution_correlations",
    "substitution_energies",
    "swap_correlations",
    "swap_energy",
    "tune_temperatures",
    "write_trajectory",
]

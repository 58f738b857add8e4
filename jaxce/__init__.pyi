# The public names of jaxce and where each is, for type checkers and for `__init__.py`, which reads this file.
from . import (
    datasets as datasets,
    diffusion as diffusion,
    estimators as estimators,
    io as io,
    observables as observables,
    plotting as plotting,
    torch as torch,
)
from .build import (
    build_hamiltonian as build_hamiltonian,
    build_pair_term as build_pair_term,
    build_tables as build_tables,
)
from .calculator import ase_calculator as ase_calculator
from .cluster_expansion import ClusterExpansion as ClusterExpansion
from .cluster_space import ClusterSpace as ClusterSpace
from .correlation_vectors import (
    correlations as correlations,
    substitution_correlations as substitution_correlations,
    swap_correlations as swap_correlations,
)
from .devices import over_devices as over_devices
from .distributed import initialize_distributed as initialize_distributed
from .energies import (
    all_swap_energies as all_swap_energies,
    energy as energy,
    relaxed_energy as relaxed_energy,
    substitution_energies as substitution_energies,
    swap_energy as swap_energy,
)
from .expansion_samples import ExpansionSamples as ExpansionSamples
from .fitting.convex_hull import ground_state_check as ground_state_check, lower_hull as lower_hull
from .fitting.design import design_diagnostics as design_diagnostics
from .fitting.fit import FitResult as FitResult, fit as fit, fit_training_set as fit_training_set
from .fitting.formation_energies import formation_energies as formation_energies
from .fitting.learning_curves import LearningCurve as LearningCurve, learning_curve as learning_curve
from .fitting.model_selection import CutoffSelection as CutoffSelection, select_cutoffs as select_cutoffs
from .fitting.structure_choice import (
    Candidate as Candidate,
    StructureChoice as StructureChoice,
    choose_structures as choose_structures,
    enumerated_candidates as enumerated_candidates,
    random_candidates as random_candidates,
)
from .fitting.structure_weights import structure_weights as structure_weights
from .fitting.training_set import TrainingSet as TrainingSet, map_training_data as map_training_data
from .fitting.transformer import CorrelationTransformer as CorrelationTransformer
from .grouping import by_supercell as by_supercell
from .io.training_data import TrainingData as TrainingData, read_training_data as read_training_data
from .lattice.enumeration import (
    enumerate_occupancies as enumerate_occupancies,
    enumerate_structures as enumerate_structures,
)
from .lattice.equivalence import canonical_key as canonical_key
from .lattice.ewald import EwaldInteraction as EwaldInteraction
from .lattice.orbits import Orbit as Orbit
from .lattice.prim import Prim as Prim
from .lattice.structures import (
    Mapping as Mapping,
    map_structure as map_structure,
    map_structures as map_structures,
    occupancy_from_ase as occupancy_from_ase,
    occupancy_to_ase as occupancy_to_ase,
)
from .lattice.supercell import Supercell as Supercell
from .lattice.supercell_shapes import distinct_supercells as distinct_supercells
from .lattice.symmetry import reduce_to_primitive as reduce_to_primitive
from .lattice.trajectory import write_trajectory as write_trajectory
from .oracle import Oracle as Oracle, OracleState as OracleState
from .padding import pad_batch as pad_batch
from .random_structures import (
    generate_random_structure as generate_random_structure,
    generate_random_structure_batch as generate_random_structure_batch,
)
from .sampling.accumulators import Histogram as Histogram, Moments as Moments
from .sampling.annealing import anneal as anneal
from .sampling.ensemble_moves import Moves as Moves, Proposal as Proposal
from .sampling.ensembles import (
    VCSGC as VCSGC,
    Canonical as Canonical,
    ChargeNeutral as ChargeNeutral,
    Constrained as Constrained,
    Hybrid as Hybrid,
    SemiGrand as SemiGrand,
)
from .sampling.monte_carlo import run_monte_carlo as run_monte_carlo
from .sampling.precision import Precision as Precision
from .sampling.random_occupancies import log_probability as log_probability, random_occupancy as random_occupancy
from .sampling.results import MonteCarloResult as MonteCarloResult
from .sampling.tempering import (
    TemperingResult as TemperingResult,
    geometric_temperatures as geometric_temperatures,
    run_tempering as run_tempering,
    tune_temperatures as tune_temperatures,
)
from .tables import Batch as Batch, ClusterTables as ClusterTables, Hamiltonian as Hamiltonian

__version__: str

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
    "diffusion",
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

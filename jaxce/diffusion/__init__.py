"""What a generative model of disordered crystals needs beside its network."""

from jaxce.diffusion.absorbing_noise import AbsorbingNoise as AbsorbingNoise
from jaxce.diffusion.annealed_particles import AnnealedParticles as AnnealedParticles
from jaxce.diffusion.conditional_decoding import (
    conditional_log_probability as conditional_log_probability,
    decode_conditional as decode_conditional,
    log_partition as log_partition,
)
from jaxce.diffusion.decoding import decode_gumbel as decode_gumbel, decode_sequential as decode_sequential
from jaxce.diffusion.denoisers import check_denoiser as check_denoiser, host_denoiser as host_denoiser
from jaxce.diffusion.evaluation import Comparison as Comparison, Evaluation as Evaluation, evaluate as evaluate
from jaxce.diffusion.exact_composition import (
    check_counts as check_counts,
    composition_counts as composition_counts,
    count_species as count_species,
    log_arrangements as log_arrangements,
    species_of as species_of,
)
from jaxce.diffusion.feynman_kac import (
    SteeredParticles as SteeredParticles,
    check_alive as check_alive,
    effective_sample_size as effective_sample_size,
    log_mean_exp as log_mean_exp,
    resample as resample,
    steer as steer,
)
from jaxce.diffusion.graphs import (
    NeighbourGraph as NeighbourGraph,
    augmented as augmented,
    neighbour_graph as neighbour_graph,
)
from jaxce.diffusion.guidance import (
    relaxed_tilted_logits as relaxed_tilted_logits,
    swap_log_weights as swap_log_weights,
    tilted_logits as tilted_logits,
)
from jaxce.diffusion.importance_weights import (
    effective_sample_fraction as effective_sample_fraction,
    elbo as elbo,
    eubo as eubo,
    forward_kl as forward_kl,
    log_importance_weights as log_importance_weights,
    log_z_estimate as log_z_estimate,
    reverse_kl as reverse_kl,
)
from jaxce.diffusion.locally_balanced import (
    BalancedMoves as BalancedMoves,
    locally_balanced_flips as locally_balanced_flips,
    locally_balanced_swaps as locally_balanced_swaps,
)
from jaxce.diffusion.mode_coverage import (
    coverage as coverage,
    entropic_mode_coverage as entropic_mode_coverage,
    ordered_variants as ordered_variants,
    variant_of as variant_of,
)
from jaxce.diffusion.open_sites import check_logits as check_logits
from jaxce.diffusion.reverse_process import (
    Denoiser as Denoiser,
    Guide as Guide,
    known_occupancy as known_occupancy,
    reverse_times as reverse_times,
)
from jaxce.diffusion.sample_source import (
    RunSamples as RunSamples,
    SampleSource as SampleSource,
    occupancy as occupancy,
)
from jaxce.diffusion.samplers import reverse_path as reverse_path, reverse_sample as reverse_sample
from jaxce.diffusion.shuffle_noise import ShuffleNoise as ShuffleNoise, ShuffleState as ShuffleState
from jaxce.diffusion.site_noise import denoised_probabilities as denoised_probabilities
from jaxce.diffusion.smc import (
    adaptive_temperatures as adaptive_temperatures,
    annealed_importance_sampling as annealed_importance_sampling,
    sequential_monte_carlo as sequential_monte_carlo,
    temperature_path as temperature_path,
)
from jaxce.diffusion.steered_samples import (
    boltzmann_sample as boltzmann_sample,
    energy_reward as energy_reward,
    steered_sample as steered_sample,
)
from jaxce.diffusion.tensors import (
    SiteMasks as SiteMasks,
    occupancy_from_one_hot as occupancy_from_one_hot,
    one_hot as one_hot,
    site_masks as site_masks,
    structures_to_tensors as structures_to_tensors,
    tensors_to_structures as tensors_to_structures,
)
from jaxce.diffusion.transposition_noise import TranspositionNoise as TranspositionNoise
from jaxce.diffusion.uniform_noise import UniformNoise as UniformNoise
from jaxce.diffusion.yardstick import Yardstick as Yardstick, jensen_shannon as jensen_shannon

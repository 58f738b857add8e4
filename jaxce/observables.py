"""What can be measured during Monte Carlo, in one place: see docs/monte_carlo.md."""

from jaxce.sampling.observables import (
    composition as composition,
    correlation_vector as correlation_vector,
    site_occupancy as site_occupancy,
)
from jaxce.sampling.order_parameters import (
    long_range_order as long_range_order,
    short_range_order as short_range_order,
)
from jaxce.sampling.structure_factors import structure_factor as structure_factor

"""The sums of equal weight against the weights that they stand for."""

import numpy as np
import pytest

from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.environments import site_environments
from jaxce.lattice.field_sums import SHARES
from jaxce.lattice.polynomial import energy_polynomial
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
CASES = {
    "binary": (Prim(FCC, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0, 4: 3.0}, 4),
    "meets itself": (Prim(FCC, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0}, [1, 2, 2]),
    "ternary and binary": (
        Prim(FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [["A", "B", "C"], ["O", "X"]]), {2: 3.0, 3: 3.0, 4: 3.0}, 3,
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def environments(request):
    prim, cutoffs, transformation = CASES[request.param]
    space = ClusterSpace(prim, cutoffs)
    return lambda ecis: site_environments(
        energy_polynomial(space.orbits, ecis(space.num_correlations), space.site_functions),
        Supercell(prim, transformation),
    )


def test_fields_are_the_same_sums(environments):
    found = environments(lambda count: np.random.default_rng(1).normal(size=count))
    num_tables, num_functions, width = found.pair.shape
    rng = np.random.default_rng(2)
    for table in range(num_tables):
        values = rng.normal(size=width)
        many = values[: found.quadratic.shape[-1]]
        expected = found.pair[table] @ values + np.einsum("fab,a,b->f", found.quadratic[table], many, many)
        for columns, weights in found.higher:
            expected += weights[table] @ np.prod(values[columns[table]], axis=1)
        shifted = np.concatenate([np.zeros(num_functions), values])
        fields = np.zeros(num_functions)
        for columns, weights in found.sums:
            assert columns.shape[2] == SHARES
            fields += weights[table] @ np.prod(shifted[columns[table]], axis=-1).sum(axis=-1)
        np.testing.assert_allclose(fields, expected, rtol=0, atol=1e-10)


def test_which_sums_there_are_does_not_depend_on_the_ecis(environments):
    one = environments(lambda count: np.random.default_rng(3).normal(size=count))
    other = environments(np.zeros)
    for (columns, _), (others, weights) in zip(one.sums, other.sums, strict=True):
        np.testing.assert_array_equal(columns, others)
        assert not weights.any()


def test_symmetry_makes_few_sums(environments):
    found = environments(lambda count: np.random.default_rng(4).normal(size=count))
    num_products = np.count_nonzero(found.pair) + np.count_nonzero(np.triu(found.quadratic))
    num_sums = sum(np.count_nonzero(weights) for _, weights in found.sums[:2])
    assert num_sums <= num_products / 2

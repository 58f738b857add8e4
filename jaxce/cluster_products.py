"""Sums of cluster products over all cells: the work behind correlations and energies.

Structures are the last axis, so that a product of site functions is one instruction for many structures; integer site
functions make it exact in 8 bits. Cells are walked one by one, which keeps the working set to one row per product.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from jaxce.tables import ClusterProducts


def product_sums(products: ClusterProducts, occupancy: Int[Array, "batch sites"]) -> Num[Array, "products batch"]:
    """Each product of site functions, summed over the cells; integers if the site functions are."""
    values = site_function_values(products.site_values, products.kind, occupancy)
    num_functions, num_rows, batch = values.shape
    rows = values.reshape(num_functions * num_rows, batch)
    # The null site -1 is the last row of each function.
    sites = jnp.where(products.column_sites < 0, num_rows - 1, products.column_sites)
    columns = sites + products.column_functions[:, None] * num_rows
    start = [jnp.zeros((len(factors), batch), _sum_type(values.dtype, sites.shape[1])) for factors in products.factors]

    def add_cell(sums, cell_columns):
        # Without the barrier the gather of the columns is repeated for every factor.
        factors_of = jax.lax.optimization_barrier(rows[cell_columns])
        return [
            total + row_products(factors_of, factors).astype(total.dtype)
            for total, factors in zip(sums, products.factors, strict=True)
        ], None

    sums, _ = jax.lax.scan(add_cell, start, columns.T)
    return jnp.concatenate([jnp.zeros((0, batch), values.dtype).astype(_sum_type(values.dtype, 1)), *sums])


def site_function_values(
    site_values: Num[Array, "kinds species functions"], kind: Int[Array, " sites"], occupancy: Int[Array, "batch sites"]
) -> Num[Array, "functions sites_and_null batch"]:
    """Site functions at the species present; the null site comes last and has the value 0."""
    table = jnp.moveaxis(site_values[kind], 2, 0)[..., None]
    codes = occupancy.T
    values = sum(
        jnp.where(codes == code, table[:, :, code], jnp.zeros((), table.dtype)) for code in range(table.shape[2])
    )
    return jnp.pad(values, ((0, 0), (0, 1), (0, 0)))


def pairwise_sum(terms: Float[Array, "terms batch"]) -> Float[Array, " batch"]:
    """Sum over the terms by halves, whose rounding error grows with the logarithm of their number only.

    Large terms of either sign cancel in an energy: added one after the other, a thousand of them cost 1 meV in float32.
    """
    while len(terms) > 1:
        if len(terms) % 2:
            terms = jnp.pad(terms, ((0, 1), (0, 0)))
        half = len(terms) // 2
        terms = terms[:half] + terms[half:]
    return jnp.sum(terms, axis=0)


def row_products(
    rows: Num[Array, "columns batch"], factors: Int[Array, "products order"]
) -> Num[Array, "products batch"]:
    """Products of rows, each of those that its factors name."""
    product = rows[factors[:, 0]]
    for point in range(1, factors.shape[1]):
        product = product * rows[factors[:, point]]
    return product


def _sum_type(dtype: jnp.dtype, num_cells: int) -> jnp.dtype:
    """Every product is -1, 0 or 1 where site functions are integers, so 16 bits hold the sum over 2**15 - 1 cells."""
    if jnp.issubdtype(dtype, jnp.floating):
        return dtype
    return jnp.dtype(jnp.int16 if num_cells < 2**15 else jnp.int32)

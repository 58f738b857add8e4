"""The cluster term: energies from products, differences from environments."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxce.blocks import block_size, over_batch
from jaxce.cluster_products import pairwise_sum, product_sums, row_products, site_function_values
from jaxce.tables import ClusterTerm
from jaxce.terms import (
    Changes,
    term_couplings,
    term_energy,
    term_potentials,
    term_relaxed_energy,
    term_site_potentials,
    term_site_tables,
)


@term_energy.register
def _energy(term: ClusterTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, " batch"]:
    def of_block(occupancies):
        # The barrier keeps the sums from being fused into, and repeated by, the weighted sum.
        sums = jax.lax.optimization_barrier(product_sums(term.products, occupancies))
        return pairwise_sum(term.product_weights[:, None] * sums.astype(term.product_weights.dtype))

    block = block_size(len(term.product_weights) + len(term.group))
    return over_batch(of_block, block, (occupancy, 1))


@term_relaxed_energy.register
def _relaxed_energy(term: ClusterTerm, probabilities: Float[Array, "batch sites species"]) -> Float[Array, " batch"]:
    def of_block(probabilities):
        values = jnp.einsum("bis,isf->fib", probabilities, _site_values(term), precision="highest")
        return _multilinear(term, jnp.pad(values, ((0, 0), (0, 1), (0, 0))))

    return over_batch(of_block, _environment_block(term), (probabilities, 2))


@term_potentials.register
def _potentials(term: ClusterTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch sites species"]:
    def of_block(occupancies):
        fields, site_values = _integer_fields(term, occupancies), _site_values(term)
        # Not a product of matrices, which would be tiny ones.
        parts = [site_values[:, :, f, None] * fields[:, None, f] for f in range(fields.shape[1])]
        return jnp.moveaxis(functools.reduce(jnp.add, parts), 2, 0)

    return over_batch(of_block, block_size(term.linear.shape[1] * len(term.group)), (occupancy, 1))


@term_site_potentials.register
def _site_potentials(
    term: ClusterTerm, occupancy: Int[Array, " sites"], site: Int[Array, ""], changed: Changes
) -> Float[Array, " species"]:
    fields = _local_fields(term, site, _neighbour_values(term, occupancy, site, changed))
    return jnp.dot(_site_values_at(term, site), fields, precision="highest")


@term_site_tables.register
def _site_tables(term: ClusterTerm) -> np.ndarray:
    return np.asarray(term.table)[np.asarray(term.group)]


@term_couplings.register
def _couplings(
    term: ClusterTerm, occupancy: Int[Array, " sites"], sites: Int[Array, " chosen"]
) -> Float[Array, "chosen species chosen species"]:
    def of_site(site):
        values = _neighbour_values(term, occupancy, site, ())
        # The field is a polynomial, so its derivative with respect to a neighbour is exact, whatever the order.
        slopes = jax.jacrev(lambda v: _local_fields(term, site, v))(values)
        slopes = slopes.reshape(slopes.shape[0], -1, term.linear.shape[-1])
        by_site = jnp.zeros((slopes.shape[0], len(occupancy) + 1, slopes.shape[2]), slopes.dtype)
        return by_site.at[:, term.neighbours[site]].add(slopes)[:, sites]

    slopes = jax.vmap(of_site)(sites)
    values = _site_values_at(term, sites)
    return jnp.einsum("isf,ifjg,jtg->isjt", values, slopes, values, precision="highest")


def _integer_fields(term: ClusterTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, "sites functions batch"]:
    """Derivative of the energy with respect to each site function, eV, site by site."""
    values = jnp.moveaxis(site_function_values(term.products.site_values, term.products.kind, occupancy), 0, 1)

    def of_group(group):
        members, table = group
        columns = [sums.columns[table] for sums in term.sums]
        weights = [sums.weights[table] for sums in term.sums]

        def of_member(site):
            # The null site is the first neighbour, so that the first column is 0.
            neighbours = jnp.pad(term.neighbours[site], (1, 0), constant_values=-1)
            # Unfused, or it is gathered for each factor.
            seen = jax.lax.optimization_barrier(values[neighbours].reshape(-1, values.shape[-1]))
            # Written out: XLA adds up slices faster than along an axis.
            totals = [
                functools.reduce(jnp.add, [row_products(seen, of_sums[:, share]) for share in range(of_sums.shape[1])])
                for of_sums in columns
            ]
            totals = jax.lax.optimization_barrier(totals)
            fields = [jnp.dot(w, t.astype(w.dtype), precision="highest") for w, t in zip(weights, totals, strict=True)]
            return functools.reduce(jnp.add, fields, jnp.broadcast_to(term.linear[table][:, None], fields[0].shape))

        return jax.lax.map(of_member, members)

    fields = jax.lax.map(of_group, (term.members, term.table))
    place = term.group * fields.shape[1] + term.member
    return fields.reshape(-1, *fields.shape[2:])[place]


def site_fields(term: ClusterTerm, occupancy: Int[Array, " sites"]) -> Float[Array, "sites functions"]:
    """Derivative of the energy of one occupancy with respect to each site function, eV; cells in blocks."""
    values = _float_values(term, occupancy[None])
    num_members = term.members.shape[1]
    block = min(num_members, block_size(term.neighbours.shape[1] * len(values) * len(term.members), largest=4096))
    num_blocks = -(-num_members // block)
    # What a padded member sees is evaluated and dropped.
    members = jnp.pad(term.members, ((0, 0), (0, num_blocks * block - num_members)))
    blocks = jnp.swapaxes(members.reshape(len(members), num_blocks, block), 0, 1)

    def of_block(members):
        parts = _field_parts(dataclasses.replace(term, members=members), values)
        return functools.reduce(jnp.add, parts)[..., 0]

    fields = jnp.moveaxis(jax.lax.map(of_block, blocks), 0, 2).reshape(len(values), -1)
    return fields[:, term.group * (num_blocks * block) + term.member].T


def _site_values(term: ClusterTerm) -> Float[Array, "sites species functions"]:
    return _site_values_at(term, jnp.arange(len(term.group)))


def _site_values_at(term: ClusterTerm, sites: Int[Array, "*chosen"]) -> Float[Array, "*chosen species functions"]:
    return term.products.site_values[term.products.kind[sites]].astype(term.linear.dtype)


def _float_values(
    term: ClusterTerm, occupancy: Int[Array, "batch sites"]
) -> Float[Array, "functions sites_and_null batch"]:
    values = site_function_values(term.products.site_values, term.products.kind, occupancy)
    return values.astype(term.linear.dtype)


def _environment_block(term: ClusterTerm) -> int:
    return block_size(term.neighbours.size * term.linear.shape[-1])


def _neighbour_values(
    term: ClusterTerm, occupancy: Int[Array, " sites"], site: Int[Array, ""], changed: Changes
) -> Float[Array, " slot_functions"]:
    """Site functions of the neighbours of a site."""
    neighbours = term.neighbours[site]
    tables = _site_values_at(term, neighbours)
    tables = jnp.where(neighbours[:, None, None] < 0, jnp.zeros((), tables.dtype), tables)
    codes = occupancy[neighbours]
    for other, code in changed:
        codes = jnp.where(neighbours == other.astype(neighbours.dtype), code.astype(codes.dtype), codes)
    return jnp.take_along_axis(tables, codes[:, None, None].astype(jnp.int32), axis=1).ravel()


def _local_fields(
    term: ClusterTerm, site: Int[Array, ""], values: Float[Array, " slot_functions"]
) -> Float[Array, " functions"]:
    """Fields of one site, given the site functions of its neighbours."""
    table = term.table[term.group[site]]
    many = values[: term.quadratic.shape[-1]]
    slopes = jnp.dot(term.quadratic[table], many, precision="highest")
    slopes = term.pair[table] + jnp.pad(slopes, ((0, 0), (0, len(values) - len(many))))
    fields = term.linear[table] + jnp.sum(slopes * values[None, :], axis=1)
    for higher in term.higher:
        products = jnp.prod(values[higher.columns[table]], axis=-1)
        fields += jnp.dot(higher.weights[table], products, precision="highest")
    return fields


@jax.custom_jvp
def _multilinear(term: ClusterTerm, values: Float[Array, "functions sites_and_null batch"]) -> Float[Array, " batch"]:
    """The polynomial at any site-function values; a term of k sites is part of k fields."""
    fields = sum(part / (degree + 1) for degree, part in enumerate(_field_parts(term, values)))
    return term.folded_constant + jnp.sum(values[:, term.members] * fields, axis=(0, 1, 2))


@_multilinear.defjvp
def _multilinear_jvp(primals, tangents):
    """The derivative with respect to the values are the fields: one pass, and no scatter in the reverse direction."""
    term, values = primals
    term_dot, values_dot = tangents
    fields = _fields(term, values)
    change = jnp.sum(fields * values_dot[:, :-1], axis=(0, 1))
    # The energy is linear in the weights, so their tangents take the weights' place.
    return _multilinear(term, values), change + _multilinear(_with_weights(term, term_dot), values)


def _with_weights(term: ClusterTerm, weights: ClusterTerm) -> ClusterTerm:
    """`term` with the float arrays of `weights`."""
    return jax.tree.map(lambda old, new: new if jnp.issubdtype(old.dtype, jnp.floating) else old, term, weights)


def _fields(
    term: ClusterTerm, values: Float[Array, "functions sites_and_null batch"]
) -> Float[Array, "functions sites batch"]:
    """Derivative of the energy with respect to each site function of each site."""
    fields = functools.reduce(jnp.add, _field_parts(term, values))
    num_functions, num_groups, num_members, batch = fields.shape
    place = term.group * num_members + term.member
    return fields.reshape(num_functions, num_groups * num_members, batch)[:, place]


def _field_parts(
    term: ClusterTerm, values: Float[Array, "functions sites_and_null batch"]
) -> list[Float[Array, "functions groups members batch"]]:
    """The fields of all sites by number of neighbours: none, one, two, ...

    The sites of a group share a table, so that their fields are one matrix product.
    """
    num_functions, num_rows, batch = values.shape
    num_groups, num_members = term.members.shape
    # Columns in the order of the tables: slot by slot, function by function.
    neighbours = jnp.swapaxes(term.neighbours[term.members], 1, 2)
    neighbours = jnp.where(neighbours < 0, num_rows - 1, neighbours)
    offsets = jnp.arange(num_functions, dtype=neighbours.dtype) * num_rows
    rows = neighbours[:, :, None, :] + offsets[None, None, :, None]
    seen = values.reshape(num_functions * num_rows, batch)[rows.reshape(num_groups, -1, num_members)]
    seen = seen.reshape(num_groups, seen.shape[1], num_members * batch)
    many = seen[:, : term.quadratic.shape[-1]]
    linear, pair, quadratic = term.linear[term.table], term.pair[term.table], term.quadratic[term.table]
    parts = [
        jnp.broadcast_to(linear[:, :, None], (num_groups, num_functions, num_members * batch)),
        jnp.einsum("gfa,gax->gfx", pair, seen, precision="highest"),
        jnp.sum(jnp.einsum("gfab,gbx->gfax", quadratic, many, precision="highest") * many[:, None], axis=2),
    ]
    for higher in term.higher:
        columns, weights = higher.columns[term.table], higher.weights[term.table]
        products = _products_of_rows(seen, columns)
        parts.append(jnp.einsum("gft,gtx->gfx", weights, products, precision="highest"))
    return [jnp.moveaxis(part.reshape(num_groups, num_functions, num_members, batch), 1, 0) for part in parts]


def _products_of_rows(
    seen: Float[Array, "groups slot_functions x"], columns: Int[Array, "groups terms neighbours"]
) -> Float[Array, "groups terms x"]:
    product = jnp.take_along_axis(seen, columns[:, :, :1], axis=1)
    for place in range(1, columns.shape[2]):
        product = product * jnp.take_along_axis(seen, columns[:, :, place : place + 1], axis=1)
    return product

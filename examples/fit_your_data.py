"""From structures with energies to a model file: cutoffs, cross-validation, a table of ECIs.

Run: python examples/fit_your_data.py [--short]
"""

import sys

import jaxce


def main(short: bool = False) -> None:
    data = jaxce.datasets.load_perovskite()
    keep = [i for i in range(len(data.structures)) if data.info["on_lattice"][i]]
    keep = keep[::4] if short else keep
    structures = [data.structures[i] for i in keep]

    for cutoffs in ({2: 4.0}, {2: 5.6}, {2: 7.0}, {2: 7.0, 3: 4.0}):
        space = jaxce.ClusterSpace(data.prim, cutoffs)
        result = jaxce.fit(space, structures, data.energies[keep])
        print(f"cutoffs {cutoffs}: {space.num_correlations} correlations")
        print(result.report(), end="\n\n")

    largest = result.expansion.to_dataframe().sort_values("eci", key=abs, ascending=False)
    print(largest.head(8).to_string())
    print(result.mappings[0].report())


if __name__ == "__main__":
    main("--short" in sys.argv)

"""`.ce` files for tests: those that icet wrote, and some put together to differ from these in one thing."""

import gzip
import io
import json
import pathlib
import pickle
import tarfile

import numpy as np

DATA = pathlib.Path(__file__).parent / "data"
SHARED = ("fcc_binary", "bcc_ternary", "rocksalt_two_sublattices")
OWN = tuple(sorted(path.name.removesuffix(".ce.gz") for path in (DATA / "icet_models").glob("*.ce.gz")))

SPACE = {
    "cutoffs": [3.0],
    "chemical_symbols": ["Cu", "Au"],
    "pruning_history": [],
    "symprec": 1e-5,
    "position_tolerance": 1e-5,
}
ATOMS = {
    "1": {
        "cell": {"array": {"__ndarray__": [[3, 3], "float64", [0, 2, 2, 2, 0, 2, 2, 2, 0]]}, "__ase_objtype__": "cell"},
        "numbers": {"__ndarray__": [[1], "int64", [29]]},
        "pbc": {"__ndarray__": [[3], "bool", [True, True, True]]},
        "positions": {"__ndarray__": [[1, 3], "float64", [0.0, 0.0, 0.0]]},
    }
}
# fcc with nearest neighbours: constant, point, pair.
MODEL = {"parameters": np.array([-1.0, 0.5, 0.25]), "metadata": {"icet_version": "4.0", "date_created": "2024-01-01"}}


def unpacked(folder, name, target):
    """The path of a file of the test data, unpacked into the folder `target`."""
    path = target / f"{name}.ce"
    path.write_bytes(gzip.decompress((DATA / folder / f"{name}.ce.gz").read_bytes()))
    return path


def tar(members):
    """The bytes of a tar of `(name or TarInfo, content)` pairs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def ce_bytes(model=MODEL, space=SPACE, atoms=ATOMS, protocol=4):
    """A `.ce` file with these contents; each may also be bytes that stand in place of the pickle or JSON."""
    plain = [x if isinstance(x, bytes) else pickle.dumps(x, protocol) for x in (model, space)]
    structure = atoms if isinstance(atoms, bytes) else json.dumps(atoms).encode()
    inner = tar([("items", plain[1]), ("atoms", structure)])
    return tar([("cluster_space", inner), ("items", plain[0])])

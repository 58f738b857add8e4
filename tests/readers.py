"""Every reader of files, with small files that are right: what is damaged, and read, in tests and by long/fuzz.py."""

import gzip
import hashlib
import io
import json
import pathlib
import tempfile
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ase.build
import ase.db
import ase.io
import h5py
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

import jaxce
import motifs
from jaxce.commands.run_settings import read_settings
from jaxce.io.atat.model import read_atat, read_atat_structure
from jaxce.io.casm.model import read_casm
from jaxce.io.clease.model import read_clease
from jaxce.io.frames import ReadFailure
from jaxce.io.icet.model import read_icet
from jaxce.io.icet.restricted_pickle import read_pickle
from jaxce.io.linear_model_file import read_linear_model
from jaxce.io.motif.model import read_motif_model
from jaxce.io.poscar import read_poscar
from jaxce.io.pymatgen_json import prim_from_pymatgen
from jaxce.io.skops_files import read_estimator
from jaxce.io.smol.model import read_smol
from jaxce.io.structure_files import read_frames
from jaxce.io.training_data import read_training_data
from jaxce.sampling.chunks import Done
from jaxce.sampling.run_folder import RunFolder

DATA = pathlib.Path(__file__).parent / "data"
FCC = jaxce.Prim(np.array([[0, 1.9, 1.9], [1.9, 0, 1.9], [1.9, 1.9, 0]]), [[0, 0, 0]], [["Cu", "Au"]])


class Reader(NamedTuple):
    """How a file is read.

    Attributes:
        file: its name.
        seeds: files that are right.
        read: reads the file of a folder.
        others: further files that it needs.
    """

    file: str
    seeds: list[bytes]
    read: Callable[[pathlib.Path], Any]
    others: Mapping[str, bytes] = types.MappingProxyType({})

    def __call__(self, content: bytes) -> Any:
        """What the reader makes of the file with this content."""
        with tempfile.TemporaryDirectory() as folder:
            for name, other in {**self.others, self.file: content}.items():
                path = pathlib.Path(folder) / name
                path.write_bytes(other)
            return self.read(path)


def readers() -> dict[str, Reader]:
    """All readers by name."""
    return {**_own(), **_structures(), **_of_programs(), **_run_folder()}


def _own() -> dict[str, Reader]:
    space = jaxce.ClusterSpace(FCC, {2: 3.0, 3: 2.8})
    ionic = jaxce.ClusterExpansion(space, np.arange(space.num_correlations), {}, [_ewald()])
    model, load = _saved(ionic), jaxce.ClusterExpansion.load
    settings = (
        'model = "m.json"\nsupercell = 2\ncomposition = {Cu = 0.5, Au = 0.5}\nensemble = "semi-grand"\n'
        'temperature = "300:900:3"\nmu = {Au = [-1, 0.5]}\nuntil = {energy = 0.01}\nsweeps = 10\nx64 = true\n'
    )
    linear = {"format": "jaxce-linear-model", "version": 1}
    models = [
        {**linear, "kind": "linear", "coefficients": [0.1, 2], "intercept": -1},
        {**linear, "kind": "standard-scaler", "mean": [0.5, 1], "scale": [1, 2]},
    ]
    return {
        "model": Reader("model.json", [model], load),
        # A checksum keeps no one out: here it is made to fit.
        "signed model": Reader("model.json", [model], lambda path: load(_signed(path))),
        "settings": Reader("run.toml", [settings.encode()], lambda path: read_settings(path, {})),
        "linear model": Reader("m.json", [json.dumps(one).encode() for one in models], read_linear_model),
        "skops": Reader("m.skops", _skops(), read_estimator),
    }


def _ewald() -> Any:
    return jaxce.EwaldInteraction.from_charges(FCC, {"Cu": 1, "Au": -1})


def _saved(expansion: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.json"
        expansion.save(path)
        return json.dumps(json.loads(path.read_bytes())).encode()


def _signed(path: pathlib.Path) -> pathlib.Path:
    try:
        document = json.loads(path.read_bytes())
        content = {k: v for k, v in document.items() if k not in ("format", "version", "sha256")}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps(document), encoding="utf-8")
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass
    return path


def _skops() -> list[bytes]:
    import skops.io
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LinearRegression()).fit(np.eye(3), np.arange(3.0))
    return [skops.io.dumps(model)]


def _structures() -> dict[str, Reader]:
    atoms = [ase.build.bulk("Ag", "fcc", a=4.09, cubic=cubic) for cubic in (True, False)]
    for one in atoms:
        one.calc = SinglePointCalculator(one, energy=-1.5)
    poscar = (
        b"c\n1.0\n4 0 0\n0 4 0\n0 0 4\nSr Ti_pv O VO\n1 1 2 1\nDirect\n0 0 0\n.5 .5 .5\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"
    )
    entries = json.loads(gzip.decompress((DATA / "lno" / "lno_entries.json.gz").read_bytes()))[:2]
    lno = (DATA / "lno" / "lno_prim.json").read_bytes()
    energies = b"file,energy\na.xyz,-1.5\na.xyz,2\n"
    one_frame = _written(atoms[:1], "extxyz")
    return {
        "poscar": Reader("POSCAR", [poscar], read_poscar),
        "vasp": Reader("POSCAR", [poscar.replace(b" VO", b" H")], _frames),
        "extxyz": Reader("a.xyz", [_written(atoms, "extxyz"), one_frame], read_training_data),
        "cif": Reader("a.cif", [_written(atoms, "cif")], _frames),
        "ase json": Reader("a.json", [_database(atoms)], read_training_data),
        "pymatgen entries": Reader("a.json", [json.dumps(entries).encode()], read_training_data),
        "pymatgen prim": Reader("prim.json", [lno], prim_from_pymatgen),
        "table": Reader("t.csv", [energies], read_training_data, {"a.xyz": one_frame}),
    }


def _frames(path: pathlib.Path) -> Any:
    """Structures without energies."""
    found = read_frames(path, path.name)
    if isinstance(found[0], ReadFailure):
        raise ValueError(found[0].reason)
    return found


def _written(atoms: list[Any], form: str) -> bytes:
    buffer = io.BytesIO() if form == "cif" else io.StringIO()
    ase.io.write(buffer, atoms, format=form)
    content = buffer.getvalue()
    return content if isinstance(content, bytes) else content.encode()


def _database(atoms: list[Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.json"
        with ase.db.connect(str(path), type="json", use_lock_file=False) as database:
            for one in atoms:
                database.write(one, gap=0.5)
        return path.read_bytes()


def _of_programs() -> dict[str, Reader]:
    icet = gzip.decompress((DATA / "icet_models" / "slab.ce.gz").read_bytes())
    smol = [gzip.decompress((DATA / "smol_more" / f"{n}.smol.json.gz").read_bytes()) for n in ("potts", "ewald_cuts")]
    clease = json.loads(gzip.decompress((DATA / "clease" / "models.json.gz").read_bytes()))["redundant element"]
    eci, settings = (json.dumps(clease[name]).encode() for name in ("eci", "settings"))
    casm = DATA / "casm" / "fcc_binary_chebychev"
    prim, basis = (casm / "prim.json").read_bytes(), gzip.decompress((casm / "basis.json.gz").read_bytes())
    read_project = lambda path: read_casm(path.parent / "prim.json", path.parent / "basis.json")
    read_settings_and_ecis = lambda path: read_clease(path.parent / "eci.json", path.parent / "settings.json")
    pickle = (DATA / "icet_models" / "records.pkl").read_bytes()
    return {
        "icet": Reader("m.ce", [icet], read_icet),
        "icet pickle": Reader("items", [pickle], lambda path: read_pickle(path.read_bytes(), "items")),
        "smol": Reader("m.json", smol, read_smol),
        "clease ecis": Reader("eci.json", [eci], read_settings_and_ecis, {"settings.json": settings}),
        "clease settings": Reader("settings.json", [settings], read_settings_and_ecis, {"eci.json": eci}),
        "casm prim": Reader("prim.json", [prim], read_project, {"basis.json": basis}),
        "casm basis": Reader("basis.json", [basis], read_project, {"prim.json": prim}),
        **_atat(),
        **_motif(),
    }


def _atat() -> dict[str, Reader]:
    files = {
        "lat.in": b"4.2 0 0\n0 4.2 0\n0 0 4.2\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\n0 0 0 Ca,Mg\n0.5 0.5 0.5 O\n",
        "clusters.out": b"1\n0\n0\n\n1\n0.000000\n1\n0 0 0\n\n6\n2.969848\n2\n0 0 0\n0.5 0.5 0\n",
        "eci.out": b"-1\n0.25\n0.01\n",
        "ref_energy.out": b"-1\n-2\n",
    }
    structure = b"4.2 4.2 4.2 90 90 90\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\n0 0 0 Mg\n0.5 0.5 0.5 O\n"
    read = lambda path: read_atat(path.parent)
    others = lambda name: {other: text for other, text in files.items() if other not in (name, "ref_energy.out")}
    found = {f"atat {name}": Reader(name, [text], read, others(name)) for name, text in files.items()}
    return {**found, "atat structure": Reader("str.out", [structure], read_atat_structure)}


def _motif() -> dict[str, Reader]:
    with tempfile.TemporaryDirectory() as folder:
        paths, _ = motifs.write_files(pathlib.Path(folder))
        files = {path.name: path.read_bytes() for path in paths}
    files["POSCAR"] = motifs.template((2, 2, 2)).encode()
    ids = [[0], [1, 2], [3, 4]]

    def read(path: pathlib.Path) -> Any:
        names = ("model.json", "scaler.json", "motifs.json", "POSCAR")
        return read_motif_model(*(path.parent / name for name in names[:3]), ids, path.parent / names[3])

    others = lambda name: {other: text for other, text in files.items() if other != name}
    return {f"motif {name}": Reader(name, [files[name]], read, others(name)) for name in ("motifs.json", "POSCAR")}


class _Progress(NamedTuple):
    """What a run folder needs of the state of a run."""

    energy: np.ndarray
    occupancy: np.ndarray
    caches: Any = None


def _run_folder() -> dict[str, Reader]:
    start = Done(_Progress(np.zeros(2), np.zeros((2, 3), np.int8)), 0, np.zeros(2, np.int64))  # ty: ignore
    identity = {"key": "0", "method": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        RunFolder(folder, identity, 4).save(start._replace(sweeps=4))
        with np.load(folder / "checkpoint.npz", allow_pickle=False) as stored:
            np.savez(folder / "checkpoint.npz", **{**stored, "num_samples": 4})
        with h5py.File(folder / "samples.h5", "w") as file:
            file["energy"], file["counts"] = np.arange(8.0).reshape(4, 2), np.ones((4, 2, 1, 2), np.int32)
            file["observables/first"] = np.zeros((4, 2, 3), np.int8)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}

    def read(path: pathlib.Path) -> Any:
        keeper = RunFolder(path.parent, identity, 4)
        done = keeper.resume(start)
        return done, keeper.read_samples()

    others = lambda name: {other: text for other, text in files.items() if other != name}
    return {name: Reader(name, [files[name]], read, others(name)) for name in files}

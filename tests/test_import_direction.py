"""The import direction: which file may import what. A new file gets a row in `TABLE`."""

import ast
import fnmatch
import graphlib
import os
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "jaxce"

# From lowest to highest. A file may import the standard library, the packages of its row, and those modules of jaxce
# that its row names (a folder's name stands for all its files), unless they stand in a higher row. A folder's row is
# for those of its files that have no row of their own. A file without a row fails the test, and so does any import that
# its row does not name: flax and optax, for example, are named nowhere, and torch by one file that no other imports.
TABLE = (
    # file                     packages                     modules of jaxce
    ("atomic_files.py",        "",                          ""),
    ("limited_files.py",       "",                          ""),
    ("lattice/*.py",           "numpy scipy spglib",        "lattice"),
    ("lattice/structures.py",  "numpy scipy spglib ase",    "lattice"),
    ("lattice/trajectory.py",  "numpy ase",                 "lattice atomic_files"),
    ("cluster_space.py",       "numpy pandas",              "lattice"),
    ("model_file.py",          "numpy",                     "lattice cluster_space atomic_files limited_files"),

    # Tables and what is computed from them: no file here knows a prim or an orbit.
    ("pytrees.py",             "jax",                       ""),
    ("tables.py",              "numpy jax jaxtyping",       "pytrees"),
    ("mixed_radix.py",         "numpy",                     ""),
    ("site_species.py",        "jax jaxtyping",             "tables"),
    ("blocks.py",              "jax jaxtyping",             ""),
    ("double_precision.py",    "jax",                       ""),
    ("cluster_products.py",    "jax jaxtyping",             "tables blocks"),
    ("correlation_vectors.py", "jax jaxtyping",             "tables blocks site_species cluster_products"),
    ("terms.py",               "numpy jax jaxtyping",       "tables"),
    ("cluster_term.py",        "numpy jax jaxtyping",             "tables blocks site_species cluster_products terms"),
    ("pair_term.py",           "numpy jax jaxtyping",       "tables blocks site_species terms"),
    ("table_term.py",          "numpy jax jaxtyping",       "tables blocks cluster_products terms mixed_radix"),
    ("energies.py",            "numpy jax jaxtyping",
     "tables blocks site_species terms cluster_term pair_term table_term"),
    ("energy_changes.py",      "jax jaxtyping",             "pytrees tables"),
    ("pair_changes.py",        "jax jaxtyping",             "pytrees tables energy_changes"),
    ("cluster_changes.py",     "jax jaxtyping",             "pytrees tables cluster_term energy_changes"),
    ("table_changes.py",       "jax jaxtyping",             "pytrees tables table_term energy_changes"),
    ("change_tables.py",       "numpy jax",
     "tables energy_changes cluster_changes pair_changes table_changes"),
    ("devices.py",             "numpy jax",                 ""),
    ("processes.py",           "numpy jax",                 ""),
    ("distributed.py",         "jax",                       "processes"),
    ("padding.py",             "numpy jax jaxtyping",       "tables"),
    ("grouping.py",            "numpy jax",                 "devices"),

    # The bridge: the only file that sees both sides.
    ("build.py",               "numpy jax jaxtyping",       "lattice cluster_space tables"),
    ("table_build.py",         "numpy jax",                 "lattice.supercell tables build mixed_radix"),

    # On top. Compositions are read on the host, against the sublattices of a supercell.
    ("sampling/flip_vectors.py", "numpy scipy",              ""),
    ("sampling/diagnostics.py", "numpy pandas ase arviz_stats xarray", ""),
    ("sampling/*.py",          "numpy scipy pandas ase jax jaxtyping h5py filelock rich",
     "lattice.prim lattice.supercell pytrees tables energies energy_changes change_tables pair_changes "
     "correlation_vectors devices processes atomic_files sampling"),
    ("observables.py",         "",                          "sampling"),
    ("cluster_expansion.py",   "numpy pandas jax jaxtyping",
     "lattice cluster_space model_file build energies double_precision"),
    ("expansion_samples.py",   "numpy jax",
     "lattice.supercell cluster_space build tables cluster_expansion"),
    ("fitting/convex_hull.py", "numpy scipy",               "lattice.structures"),
    ("plotting/*.py",          "numpy scipy matplotlib",
     "lattice sampling fitting.convex_hull plotting"),
    ("fitting/*.py",           "numpy scipy pandas sklearn ase jax jaxtyping rich",
     "lattice cluster_space build tables correlation_vectors double_precision cluster_expansion expansion_samples "
     "atomic_files plotting fitting"),
    ("estimators.py",          "",                          "fitting.estimators fitting.prior_ridge"),
    ("io/icet/lattice.py",     "numpy spglib ase",          "lattice io"),
    ("io/skops_files.py",      "skops",                     "limited_files"),
    ("io/*.py",                "numpy scipy pandas ase",
     "lattice atomic_files limited_files mixed_radix double_precision cluster_space build table_build tables "
     "cluster_expansion energies fitting.linear_models io"),
    ("datasets/*.py",          "numpy pandas ase",          "lattice.prim cluster_space cluster_expansion datasets"),

    ("random_structures.py",   "numpy ase",                 "lattice.prim io.structure_forms sampling.compositions"),
    ("oracle.py",              "numpy jax ase",
     "lattice build tables cluster_expansion double_precision energies io.structure_forms"),
    ("diffusion/*.py",         "numpy scipy ase jax jaxtyping h5py",
     "lattice pytrees tables site_species blocks energies terms build cluster_expansion double_precision "
     "correlation_vectors devices processes sampling io.structure_forms diffusion"),
    ("calculator.py",          "ase",                       "cluster_expansion oracle"),
    # Optional: nothing imports it.
    ("torch.py",               "jax torch",                 "tables energies"),

    # The public names, and what is written with these.
    ("__init__.py",            "lazy_loader",               ""),
    # A program of its own, which no file imports.
    ("commands/unpickling.py", "numpy joblib",              ""),
    ("commands/*.py",          "numpy jax pandas ase rich sklearn", "*"),
    ("cli/*.py",               "rich typer",                "*"),
    ("__main__.py",            "",                          "cli"),
)  # fmt: skip

FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def row_of(file):
    """Place in `TABLE` of a file: that of its own row before that of its folder."""
    patterns = [row[0] for row in TABLE]
    if file in patterns:
        return patterns.index(file)
    matches = [place for place, pattern in enumerate(patterns) if "/" in file and fnmatch.fnmatchcase(file, pattern)]
    assert len(matches) == 1, f"jaxce/{file} has no row in the TABLE of {__file__}: add it between what it may import"
    return matches[0]


def module_of(file):
    return ".".join(("jaxce", *pathlib.PurePosixPath(file).with_suffix("").parts)).removesuffix(".__init__")


FILE_OF_MODULE = {module_of(file): file for file in FILES}


def imported_modules(file):
    """Full names of all that a file imports, also inside functions; names from modules as `module.name`."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"), filename=file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"jaxce/{file}, line {node.lineno}: write `from jaxce...`, not a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def jaxce_files(file):
    """Files of jaxce that a file imports."""
    for name in imported_modules(file):
        if name.split(".")[0] == "jaxce":
            # What is not a module is a name from one.
            found = FILE_OF_MODULE.get(name) or FILE_OF_MODULE.get(name.rpartition(".")[0])
            assert found, f"jaxce/{file} imports {name}, which no file of jaxce holds"
            yield found


def is_within(module, allowed):
    return allowed == "*" or module == f"jaxce.{allowed}" or module.startswith(f"jaxce.{allowed}.")


def test_no_file_has_two_rows():
    patterns = [row[0] for row in TABLE]
    assert len(set(patterns)) == len(patterns)


@pytest.mark.parametrize("file", FILES)
def test_file_imports_only_packages_of_its_row(file):
    _, packages, _ = TABLE[row_of(file)]
    found = {name.split(".")[0] for name in imported_modules(file)} - sys.stdlib_module_names - {"jaxce"}
    assert found <= set(packages.split()), f"jaxce/{file} may import {packages or 'no package'}, not {sorted(found)}"


@pytest.mark.parametrize("file", FILES)
def test_file_imports_only_modules_below_it(file):
    _, _, allowed = TABLE[row_of(file)]
    for other in jaxce_files(file):
        module = module_of(other)
        assert any(is_within(module, name) for name in allowed.split()), (
            f"jaxce/{file} may import of jaxce: {allowed or 'nothing'}; not {module}"
        )
        assert row_of(other) <= row_of(file), f"jaxce/{file} imports {module}, which stands above it"


def test_imports_have_no_cycle():
    graph = {file: set(jaxce_files(file)) for file in FILES}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the cycle
    assert set(order) == set(FILES)


def test_import_of_jaxce_alone_imports_nothing_large():
    script = """
import sys
import jaxce
large = {"jax", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "ase"} & set(sys.modules)
assert not large, f"import jaxce imports {large}"
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_fits_and_runs_do_not_wait_for_matplotlib():
    script = """
import sys
import jaxce
jaxce.fit, jaxce.run_monte_carlo
assert "matplotlib" not in sys.modules, "imported where no figure is made"
jaxce.plotting.parity_plot
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_import_starts_no_device_and_sets_nothing():
    script = """
import jax
before = dict(jax.config.values)
import jaxce
for name in jaxce.__all__:
    getattr(jaxce, name)
assert dict(jax.config.values) == before, "import jaxce changes jax.config"
try:
    jax.numpy.zeros(1)
except RuntimeError:
    pass
else:
    raise AssertionError("this test finds nothing: arrays can be made without a platform")
"""
    # No device can be started on a platform that does not exist: any array that is made on import raises.
    environment = os.environ | {"JAX_PLATFORMS": "no_such_platform", "PYTHONPATH": str(PACKAGE.parent)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")

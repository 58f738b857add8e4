"""What `jaxce doctor` does: say what is installed, and whether numbers are right."""

import importlib.metadata
import os
import platform
import re
from typing import Any

import numpy as np

from jaxce.commands.screen import plain_table, screen

_PACKAGES = (
    "jaxce",
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "ase",
    "scikit-learn",
    "spglib",
    "h5py",
    "xarray",
    "arviz-stats",
)
_EXTRAS = {
    "skops": "scikit-learn models in .skops files",
    "torch": "jaxce.torch",
    "netCDF4": "jaxce analyze --netcdf",
    "zarr": "jaxce analyze --zarr",
}
# Versions that pyproject.toml excludes, and why.
BAD_JAX = {
    "0.10.2": "gives wrong numbers on CPU (jax-ml/jax#39103)",
    "0.11.0": "is many times slower in Monte Carlo",
    "0.11.1": "is many times slower in Monte Carlo",
}
_OLDEST_JAX = (0, 7)
_VARIABLES = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_NUM_CPU_DEVICES", "OMP_NUM_THREADS")
# Of the embedded Cu-Au expansion in 2x2x4 prims, by CLEASE 1.2.0 for all 65 536 states: the lowest energy, how many
# states have it, and the mean energy where 1/kT is 17 per eV (683 K).
_LOWEST, _NUM_LOWEST = -0.5796234087457125, 6
_INVERSE_KT, _MEAN = 17.0, -0.40775311162592903
_TOLERANCE = 1e-9


def doctor() -> list[str]:
    """Print versions, devices and settings, check numbers; return what is wrong, in sentences."""
    console = screen()
    console.print(plain_table({"package": "left", "version": "left"}, [(n, version_of(n) or "-") for n in _PACKAGES]))
    extras = [(name, version_of(name) or "not installed", use) for name, use in _EXTRAS.items()]
    console.print(plain_table({"optional": "left", "version": "left", "for": "left"}, extras))
    console.print(f"python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores", markup=False)
    wrong = [*_wrong_versions()]
    for name, check in (("devices", _devices), ("settings", _settings), ("numbers", _numbers)):
        try:
            console.print(f"{name}: {check()}", markup=False)
        # Whatever goes wrong here is what the command is for.
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    return wrong


def version_of(package: str) -> str | None:
    """The version that is installed; None if it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _wrong_versions() -> list[str]:
    jax, jaxlib = version_of("jax"), version_of("jaxlib")
    wrong = [f"{name} is not installed." for name in _PACKAGES if version_of(name) is None]
    if jax in BAD_JAX:
        wrong.append(f"jax {jax} {BAD_JAX[jax]}: install another version.")
    if jax and _numbers_of(jax) < _OLDEST_JAX:
        wrong.append(f"jax {jax} is older than {'.'.join(map(str, _OLDEST_JAX))}: install a newer one.")
    if jax and jaxlib and _numbers_of(jax)[:2] != _numbers_of(jaxlib)[:2]:
        wrong.append(f"jax {jax} and jaxlib {jaxlib} do not belong together: install them again.")
    return wrong


def _numbers_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _devices() -> str:
    import jax

    listed = [f"{device.device_kind} ({device.platform})" for device in jax.devices()]
    return f"{len(listed)} x {listed[0]}; arrays are {jax.numpy.zeros(1).dtype} by default"


def _settings() -> str:
    given = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    return ", ".join(given) or f"none of {', '.join(_VARIABLES)} is set"


def _numbers() -> str:
    """Energies, their changes and a Monte Carlo run of the embedded Cu-Au expansion against exact numbers."""
    deviations = {"energies": energy_deviation(), "energies of Monte Carlo": monte_carlo_deviation()}
    for name, deviation in deviations.items():
        if not deviation < _TOLERANCE:
            raise ArithmeticError(f"{name} of 16-site Cu-Au deviate by {deviation:.3g} eV from exact ones.")
    return f"16-site Cu-Au is exact to {max(deviations.values()):.0e} eV in float64: 65536 energies, Monte Carlo"


def energy_deviation() -> float:
    """Largest error, eV, of the lowest and the mean of all energies of a small cell."""
    from jaxce.double_precision import double_precision
    from jaxce.energies import energy

    states = (np.arange(2**16)[:, None] >> np.arange(16) & 1).astype(np.int8)
    with double_precision(True):
        energies = np.asarray(energy(_hamiltonian(), states))
    lowest = energies.min()
    if np.sum(energies < lowest + 1e-6) != _NUM_LOWEST:
        return np.inf
    weights = np.exp(-_INVERSE_KT * (energies - lowest))
    return max(abs(lowest - _LOWEST), abs(float(np.average(energies, weights=weights)) - _MEAN))


def monte_carlo_deviation() -> float:
    """Largest difference, eV, between the energies that a short run adds up and those of its last states."""
    import jax

    from jaxce.double_precision import double_precision
    from jaxce.energies import energy
    from jaxce.sampling.monte_carlo import run_monte_carlo

    start = np.tile((np.arange(16) % 2).astype(np.int8), (8, 1))
    with double_precision(True):
        hamiltonian = _hamiltonian()
        result = run_monte_carlo(jax.random.key(0), hamiltonian, start, temperature=680.0, num_sweeps=20)
        return float(np.abs(result.energy[:, -1] - np.asarray(energy(hamiltonian, result.occupancy))).max())


def _hamiltonian() -> Any:
    from jaxce.build import build_hamiltonian
    from jaxce.datasets import load_cuau_model
    from jaxce.lattice.supercell import Supercell

    expansion = load_cuau_model()
    return build_hamiltonian(expansion, Supercell(expansion.space.prim, (2, 2, 4)))

"""`check_model`: a model is held against energies that its user knows."""

import ase
import numpy as np
import pytest

import jaxce
from jaxce.double_precision import double_precision
from jaxce.io.model_check import check_model


@pytest.fixture(scope="module")
def expansion():
    prim = jaxce.Prim(np.diag([3.0, 3.0, 3.0]), [[0, 0, 0]], [["Al", "Cu"]])
    # A constant that float32 could not add to differences of 1e-6 eV.
    return jaxce.ClusterExpansion(jaxce.ClusterSpace(prim, {2: 3.0}), [-5000.0, 0.1, 0.02])


def structures():
    return [ase.Atoms(symbol, cell=np.diag([3.0, 3.0, 3.0]), pbc=True) for symbol in ("Al", "Cu")]


def test_right_energies_pass_in_double_precision(expansion):
    with double_precision(False):
        assert check_model(expansion, zip(structures(), [-5000.08, -4999.88], strict=True)) < 1e-9


def test_wrong_energies_are_named(expansion):
    with pytest.raises(ValueError, match=r"1 of 2 deviate.*structure 1 \(Cu\).*-4999.88 in place of -4999.87"):
        check_model(expansion, zip(structures(), [-5000.08, -4999.87], strict=True))
    with pytest.raises(ValueError, match="1 of 2 deviate"):
        check_model(expansion, zip(structures(), [-5000.08, float("nan")], strict=True))
    assert check_model(expansion, zip(structures(), [-5000.08, -4999.87], strict=True), tolerance=0.1) > 0.009


def test_no_structures_are_no_check(expansion):
    with pytest.raises(ValueError, match="no structures"):
        check_model(expansion, [])

import ase
import ase.build
import numpy as np
import pytest

from jaxce.fitting.formation_energies import formation_energies, formula_amounts

REFERENCES = {"SrTiO3": -42.0, "LaFeO3": -41.0, "SrFeO3": -36.0, "SrFeO2.5": -33.0}


def test_references_are_taken_off_by_composition():
    structures = [ase.Atoms("Sr2TiFeO6"), ase.Atoms("Sr4Fe4O11"), ase.Atoms("SrLaTiFeO6"), ase.Atoms("Sr2Ti2O6X")]
    # By hand: one of each; half and half; one of each; the vacancy counts as nothing.
    expected = [-80.0 + 42 + 36, -140.0 + 2 * 36 + 2 * 33, -85.0 + 42 + 41, -84.5 + 2 * 42]
    found = formation_energies(structures, [-80.0, -140.0, -85.0, -84.5], REFERENCES)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_reference_has_no_energy_of_formation():
    structures = [ase.Atoms("Sr2Fe2O5"), ase.Atoms("LaFeO3")]
    np.testing.assert_allclose(formation_energies(structures, [-66.0, -41.0], REFERENCES), 0, atol=1e-10)


def test_mixing_energies_of_an_alloy():
    atoms = ase.build.bulk("Ag", cubic=True)
    atoms.symbols[:1] = "Pd"
    np.testing.assert_allclose(formation_energies([atoms], [-10.0], {"Ag": -2.0, "Pd": -3.0}), -1.0)


def test_species_with_oxidation_states_count_as_elements():
    atoms = ase.Atoms("MnMnO3X")
    atoms.set_array("species", np.array(["Mn2+", "Mn4+", "O2-", "O2-", "O2-", "Vac"]))
    np.testing.assert_allclose(formation_energies([atoms], [-30.0], {"Mn2O3": -29.0}), -1.0)


def test_formulas():
    assert formula_amounts("SrFeO2.5") == {"Sr": 1, "Fe": 1, "O": 2.5}
    assert formula_amounts("CHO.5H3") == {"C": 1, "H": 4, "O": 0.5}
    for wrong in ("", "srTiO3", "Ca(OH)2", "Sr Ti", "2O", "Mn3+"):
        with pytest.raises(ValueError, match="no formula"):
            formula_amounts(wrong)


def test_what_does_not_fit_is_refused():
    oxide = ase.Atoms("Sr2Ti2O5")
    with pytest.raises(ValueError, match=r"no combination.*structure 1 .*'O'"):
        formation_energies([ase.Atoms("SrTiO3"), oxide], [-1.0, -2.0], {"SrTiO3": -42.0, "SrFeO3": -36.0})
    with pytest.raises(ValueError, match=r"lack the elements \['La'\]"):
        formation_energies([ase.Atoms("LaTiO3")], [-1.0], {"SrTiO3": -42.0})
    with pytest.raises(ValueError, match=r"'Sr2Ti2O6' is a combination of those of \['SrTiO3'\]"):
        formation_energies([oxide], [-1.0], {"SrTiO3": -42.0, "Sr2Ti2O6": -84.0})
    with pytest.raises(ValueError, match=r"'SrO3Ti' is a combination"):
        formation_energies([oxide], [-1.0], {"SrTiO3": -42.0, "O": -5.0, "SrO3Ti": -42.0})
    with pytest.raises(ValueError, match="`energies` needs one finite energy"):
        formation_energies([oxide], [-1.0, -2.0], REFERENCES)
    with pytest.raises(ValueError, match="`energies` needs one finite energy"):
        formation_energies([oxide], [np.nan], REFERENCES)
    with pytest.raises(ValueError, match="`references` needs one finite energy"):
        formation_energies([oxide], [-1.0], {"SrTiO3": np.inf})
    with pytest.raises(ValueError, match="`references` needs"):
        formation_energies([oxide], [-1.0], {})

"""The order of smol's species against lists that pymatgen 2026.10 sorted."""

import pytest

from jaxce.io.smol.species import (
    ELECTRONEGATIVITIES,
    Species,
    in_code_order,
    place_of,
    species_of_entry,
    species_of_text,
)

# sorted(Element) without the isotopes D and T.
ELEMENTS = """
Fr Cs K Rb Ba Ra Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Am Bk Cf Cm Es Fm Hf Lr Md No Th Mg
Zr Np Sc U Pa Ta Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Cu Re Si Tc Ni Ag Sn Hg Po Ge Bi B Sb Te Mo As P At H Ir Os
Pd Rn Ru Pt Rh Pb W Au C Se S Xe I Br Kr N Cl O F Ar Bh Cn Db Ds Fl He Hs Lv Mc Mt Ne Nh Og Rf Rg Sg Ts
"""


def test_elements_are_sorted_as_by_pymatgen():
    given = sorted(ELEMENTS.split())
    assert len(given) == 118
    ordered = in_code_order((Species(symbol), 1 / 118) for symbol in given)
    assert [species.symbol for species in ordered] == ELEMENTS.split()
    assert len(ELECTRONEGATIVITIES) == 100


# What list(SiteSpace(Composition(...))) gave in smol 0.5.7; its vacancy is X here.
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Ni Cr Al", "Al Cr Ni"),
        ("Li+ Mn3+ Ti4+", "Li+ Ti4+ Mn3+"),
        ("Fe2+ Fe0+ Fe3+", "Fe2+ Fe0+ Fe3+"),
        ("Fe0+ Fe2+ Fe-", "Fe- Fe0+ Fe2+"),
        ("Mn3+,spin=5 Mn3+,spin=4", "Mn3+,spin=5 Mn3+,spin=4"),
        ("Mn,spin=5 Mn,spin=4", "Mn,spin=4 Mn,spin=5"),
        ("Fe Fe2+", "Fe2+ Fe"),
        ("Fe Li+", "Li+ Fe"),
        ("Ar He Og", "Ar He Og"),
        ("Li+ vacA0+", "X Li+"),
    ],
)
def test_species_have_the_order_of_smol(given, expected):
    names = given.split()
    ordered = in_code_order((species_of_text(text), 1 / len(names)) for text in names)
    assert [species.label.replace(".0", "") for species in ordered] == expected.split()


@pytest.mark.parametrize(("total", "expected"), [(0.98, "Li Mn X"), (0.991, "Li Mn")])
def test_a_site_that_is_not_full_may_be_vacant(total, expected):
    ordered = in_code_order([(Species("Mn"), total / 2), (Species("Li"), total / 2)])
    assert [species.symbol for species in ordered] == expected.split()


@pytest.mark.parametrize(
    ("entry", "text", "label"),
    [
        ({"element": "Cu"}, "Cu", "Cu"),
        ({"element": "O", "oxidation_state": -2, "spin": None}, "O2-", "O2-"),
        ({"element": "Fe", "oxidation_state": 2.333}, "Fe2.33+", "Fe2.33+"),
        ({"element": "Mn", "oxidation_state": 3, "spin": -4}, "Mn3+,spin=-4", "Mn3+,spin=-4"),
        ({"element": "Mn", "oxidation_state": 3, "properties": {"spin": 4}}, "Mn3+,spin=4", "Mn3+,spin=4"),
        ({"element": "A", "oxidation_state": 0}, "vacA0+", "X"),
        ({"element": "X", "oxidation_state": 0}, "X0+", "X"),
    ],
    ids=["element", "anion", "fractional charge", "spin", "old spin", "vacancy of smol", "X"],
)
def test_entries_and_text_are_the_same_species(entry, text, label):
    species = species_of_entry(entry)
    assert species.label == label
    assert place_of(species_of_text(text), [Species("Li", 1), species]) == 1


def test_a_species_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"Mn3\+ is not among .*\['Mn4\+', 'Fe3\+'\]"):
        place_of(Species("Mn", 3), [Species("Mn", 4), Species("Fe", 3)])

"""The shipped histograms of 64-site Cu-Au, against another program's averages and against themselves."""

import json

import numpy as np
import pytest

import jaxce
from cuau import DATA
from jaxce.diffusion import jensen_shannon

PEER = json.loads((DATA / "pt_reference_4x4x4.json").read_text(encoding="utf-8"))
PURE = json.loads((DATA / "exact_2x2x4.json").read_text(encoding="utf-8"))
CONDITIONS = [(ensemble, kelvin) for ensemble in ("semi-grand", "canonical") for kelvin in (500, 680, 1200)]


@pytest.fixture(scope="module", params=CONDITIONS, ids=[f"{ensemble} {kelvin} K" for ensemble, kelvin in CONDITIONS])
def condition(request):
    return *request.param, jaxce.datasets.load_cuau_reference(*request.param)


@pytest.fixture(scope="module")
def coefficients():
    return jaxce.datasets.load_cuau_formation_model().coefficients


def test_means_agree_with_an_independent_tempering_run(condition):
    ensemble, kelvin, found = condition
    names = {"semi-grand": "semigrand_mu0_formation_energy", "canonical": "canonical_32_32_bare_energy"}
    peer = next(row for row in PEER[names[ensemble]] if row["T_K"] == kelvin)
    # The energy of half gold and half copper, where the peer's is not relative to it.
    shift = (PURE["E_pure_Au_eV"] + PURE["E_pure_Cu_eV"]) / 32 if ensemble == "canonical" else 0.0
    for ours, theirs, error in (
        (found.energy, peer["E_mean_eV_per_atom"] - shift, peer["E_sem_eV_per_atom"]),
        (found.gold_fraction, peer["x_Au_mean"], peer["x_Au_sem"]),
    ):
        assert abs(ours[0] - theirs) <= 3 * np.hypot(ours[1], error)
    assert found.num_samples == 100_000
    assert 20_000 < found.effective_samples <= found.num_samples


def test_statistics_of_the_halves_belong_together(condition, coefficients):
    _, _, found = condition
    halves = {name: values.mean(axis=0) for name, values in found.halves.items()}
    assert halves["mean_energy"][0] == pytest.approx(found.energy[0], abs=1e-7)
    assert halves["mean_composition"][0] == pytest.approx(found.gold_fraction[0], abs=1e-7)
    assert halves["correlations"] @ coefficients == pytest.approx(found.energy[0], abs=1e-7)
    assert halves["composition"][0] @ np.arange(65) / 64 == pytest.approx(found.gold_fraction[0], abs=1e-7)
    assert found.energy_edges.shape == (64,)
    # All samples lie between the edges, in both halves alike.
    assert halves["energy"].shape == (65,)
    assert halves["energy"][1:-1].sum() == pytest.approx(1)
    assert jensen_shannon(*found.halves["energy"]) < 0.002
    state = found.ordered_state
    assert (state.shape, state.sum()) == ((64,), 32)
    # The six variants of L1_0 are equally likely.
    variants = halves["modes"][:6]
    assert np.ptp(variants) < 0.25 * variants.mean() + 0.002


def test_other_conditions_are_refused():
    with pytest.raises(ValueError, match="600"):
        jaxce.datasets.load_cuau_reference("canonical", 600)

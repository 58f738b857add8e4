"""Every reader, with damaged files: what comes out is a model or a `ValueError`, soon, whatever is in the file.

`tests/long/fuzz.py` does the same for as long as one likes.
"""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from attempts import attempt
from mutations import mutated
from readers import readers

READERS = readers()
# Of those that take longest: damage to a list of motifs is found late.
FEW = {"motif motifs.json": 3, "motif POSCAR": 3}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", READERS)
def test_right_files_are_read_and_damaged_ones_are_refused(name):
    reader, rng = READERS[name], random.Random(0)
    assert [attempt(reader, seed) for seed in reader.seeds] == ["read"] * len(reader.seeds)
    outcomes = [attempt(reader, mutated(rng.choice(reader.seeds), rng)) for _ in range(FEW.get(name, 10))]
    assert set(outcomes) <= {"read", "refused"}
    for kept in (0.0, 0.5, 0.99):
        assert attempt(reader, reader.seeds[0][: int(kept * len(reader.seeds[0]))]) in ("read", "refused")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=JSON)
@pytest.mark.parametrize("name", [name for name in READERS if READERS[name].file.endswith(".json")])
def test_other_json_is_refused(name, content):
    assert attempt(READERS[name], json.dumps(content).encode()) == "refused"

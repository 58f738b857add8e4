"""A synthetic motif model in the files of its format, and its energies by loops that share no code with the package."""

import itertools
import json

import numpy as np

SPECIES = ("Sr", "Ti", "Fe", "O", "VO")
EDGE = 3.905
# The order of the six directions in the motifs; the package has to find it out.
DIRECTIONS = np.array([[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
WEIGHTS = 2 ** np.arange(13)


def rotated_columns():
    """`[48, 13]` where each entry of a motif comes from when it is rotated by an operation of O_h."""
    rows = []
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            images = DIRECTIONS[:, axes] * signs
            place = [int(np.flatnonzero((image == DIRECTIONS).all(axis=1))[0]) for image in images]
            rows.append([0, *(1 + p for p in place), *(7 + p for p in place)])
    return np.array(rows)


COLUMNS = rotated_columns()


def canonical(motifs):
    """`[motifs]` one number for all that O_h makes of motifs `[motifs, 13]` of zeros and ones."""
    return np.min([motifs[:, columns] @ WEIGHTS for columns in COLUMNS], axis=0)


STATES = np.array(list(itertools.product((0, 1), repeat=13)))
MOTIFS = STATES[np.unique(canonical(STATES), return_index=True)[1]]


def write_files(folder, seed=0, num_a=6, motifs=MOTIFS, weights=None):
    """Model, scaler and motif file, and what a structure's features are multiplied with."""
    rng = np.random.default_rng(seed)
    count = len(motifs) + 2
    coefficients = rng.normal(size=count) * (rng.uniform(size=count) < 0.4) if weights is None else weights
    mean, scale = rng.uniform(0, 4, size=count), rng.uniform(0.5, 2, size=count)
    head = {"format": "jaxce-linear-model", "version": 1}
    model = {**head, "kind": "linear", "coefficients": coefficients.tolist(), "intercept": -1234.5}
    scaler = {**head, "kind": "standard-scaler", "mean": mean.tolist(), "scale": scale.tolist()}
    ids = [[*(1 + m[:7]).tolist(), *(3 + m[7:]).tolist(), *[0] * num_a] for m in motifs]
    paths = [folder / name for name in ("model.json", "scaler.json", "motifs.json")]
    for path, content in zip(paths, (model, scaler, ids), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths, (coefficients, mean, scale, -1234.5)


def template(shape, order=SPECIES, seed=0):
    """A POSCAR with a quarter Fe and a few vacancies, species in some order, and atoms of each in a random one."""
    rng = np.random.default_rng(seed)
    cells = np.array(list(itertools.product(*(range(n) for n in shape))))
    b_names = rng.permutation(np.where(np.arange(len(cells)) % 4 == 0, "Fe", "Ti"))
    o_names = rng.permutation(np.where(np.arange(3 * len(cells)) % 24 == 0, "VO", "O"))
    positions = [*(cells + 0.5), *cells, *(cell + half for half in np.eye(3) / 2 for cell in cells)]
    names = np.array(["Sr"] * len(cells) + b_names.tolist() + o_names.tolist())
    rows = [rng.permutation(np.array(positions)[names == name]) / shape for name in order]
    lines = ["template", str(EDGE), *(" ".join(map(str, row)) for row in np.diag(shape)), " ".join(order)]
    lines += [
        " ".join(str(len(r)) for r in rows),
        "Direct",
        *(" ".join(map(repr, x.tolist())) for r in rows for x in r),
    ]
    return "\n".join(lines) + "\n"


def slow_energy(names, positions, shape, numbers, motifs=MOTIFS):
    """Energy (eV) by counting; vacancies are atoms of species "X". The model is of 32 B sites."""
    coefficients, mean, scale, intercept = numbers
    wrap = lambda position: tuple(np.round(2 * np.asarray(position) / EDGE).astype(int) % (2 * np.array(shape)))
    at = {wrap(position): name for name, position in zip(names, positions, strict=True)}
    index = {int(key): i for i, key in enumerate(canonical(motifs))}
    features = np.zeros(len(motifs) + 2)
    features[:2] = np.sum(np.asarray(names) == "Ti"), np.sum(np.asarray(names) == "O")
    for name, position in zip(names, positions, strict=True):
        if name in ("Ti", "Fe"):
            around = [at[wrap(position + EDGE * d)] for d in DIRECTIONS] + [
                at[wrap(position + EDGE / 2 * d)] for d in DIRECTIONS
            ]
            motif = np.array([int(n in ("Fe", "X")) for n in [name, *around]])
            place = index.get(int(canonical(motif[None])[0]))
            features[[] if place is None else 2 + place] += 1
    weights = coefficients / scale
    return float(weights @ features + np.prod(shape) / 32 * (intercept - weights @ mean))

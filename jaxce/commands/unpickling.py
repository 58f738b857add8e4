"""A program of its own: unpickle a file and print the numbers of the scikit-learn object in it, as JSON.

`convert_pickle.py` runs it in a separate process, and nothing else should. It imports nothing of jaxce, because
scikit-learn alone starts in half the time.
"""

import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np

# Predictions at all unit vectors take memory quadratic in it.
_MOST_FEATURES = 10_000


def main(arguments: Sequence[str]) -> None:
    """Print the description of the object in a file, or what went wrong."""
    # What the pickle prints must not be taken for the result.
    result = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Reads files of pickle and of joblib.
            content = describe(joblib.load(arguments[0]))
        versions = [w.message for w in caught if type(w.message).__name__ == "InconsistentVersionWarning"]
        content["version"] = getattr(versions[0], "original_sklearn_version", None) if versions else _sklearn_version()
        text = json.dumps(content, allow_nan=False)
    except Exception as error:
        text = json.dumps({"error": f"{type(error).__name__}: {error}"})
    with result:
        result.write(text)


def describe(fitted: Any) -> dict[str, Any]:
    """The numbers of a fitted estimator or scaler: what it gives at a few points, and what it calls itself.

    Raises:
        ValueError: if it is neither.
    """
    name = f"{type(fitted).__module__}.{type(fitted).__qualname__}"
    if hasattr(fitted, "predict"):
        num_features = _num_features(fitted, "coef_")
        probes = np.random.default_rng(0).uniform(-1, 1, size=(8, num_features))
        vectors = np.vstack([np.zeros(num_features), np.eye(num_features), probes])
        return {
            "class": name,
            "kind": "linear",
            "probes": probes.tolist(),
            "values": np.asarray(fitted.predict(vectors), dtype=np.float64).reshape(len(vectors)).tolist(),
            "stored": [_list(getattr(fitted, key, None)) for key in ("coef_", "intercept_")],
        }
    if hasattr(fitted, "transform") and hasattr(fitted, "mean_") and hasattr(fitted, "scale_"):
        num_features = _num_features(fitted, "mean_")
        probes = np.random.default_rng(0).uniform(-1, 1, size=(8, num_features))
        return {
            "class": name,
            "kind": "standard-scaler",
            "probes": probes.tolist(),
            "values": np.asarray(fitted.transform(probes), dtype=np.float64).tolist(),
            "mean": _list(fitted.mean_ if getattr(fitted, "with_mean", True) else np.zeros(num_features)),
            "scale": _list(np.ones(num_features) if fitted.scale_ is None else fitted.scale_),
        }
    raise ValueError(f"it holds a {name}, which is neither a fitted model with `predict` nor a StandardScaler.")


def _num_features(fitted: Any, attribute: str) -> int:
    """Number of features; the size of an attribute in files older than scikit-learn 0.24, which do not say it."""
    num_features = getattr(fitted, "n_features_in_", None)
    if num_features is None:
        num_features = np.size(getattr(fitted, attribute, ()))
    if not 0 < num_features <= _MOST_FEATURES:
        raise ValueError(f"it must be fitted on 1 to {_MOST_FEATURES} features, but has {num_features}.")
    return int(num_features)


def _list(numbers: Any) -> Any:
    return None if numbers is None else np.asarray(numbers, dtype=np.float64).tolist()


def _sklearn_version() -> str | None:
    return getattr(sys.modules.get("sklearn"), "__version__", None)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Fitted scikit-learn estimators in files of skops, which hold no program.

skops builds what its file names, and trusts all of scikit-learn. Here a file may name less: see `_TRUSTED_MODULES`. It
is read once; what is checked is what is loaded.
"""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from jaxce.limited_files import parse_json, read_bytes

# Bytes, packed or unpacked; a model with thousands of features has some hundred kilobytes.
_LARGEST = 2**28
_MOST_PARTS = 10_000
_PART_NAME = re.compile(r"[\w-]+\.(json|npy|bin)")

# What scikit-learn's linear models are made of.
_TRUSTED_MODULES = (
    "sklearn.linear_model.",
    "sklearn.preprocessing.",
    "sklearn.feature_selection.",
    "sklearn.pipeline.",
)
_TRUSTED_LOADERS = {
    "DTypeNode",
    "DictNode",
    "JsonNode",
    "ListNode",
    "NdArrayNode",
    "RandomStateNode",
    "SliceNode",
    "TupleNode",
    "TypeNode",
}
# Of the builtins and of NumPy: types of data.
_TRUSTED_DATA = re.compile(
    r"builtins\.(bool|dict|float|int|list|slice|str|tuple)"
    r"|numpy\.(ndarray|dtype|bool_?|str_|u?int(8|16|32|64)|float(16|32|64)|intc|longlong|dtypes\.\w+)"
    r"|numpy\.random\.mtrand\.RandomState"
)
# How a model was cross-validated, and functions that choose features: neither is called in a prediction.
_TRUSTED_BY_NAME = (
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.LeaveOneOut",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.feature_selection._univariate_selection.r_regression",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
)


def read_estimator(path: str | os.PathLike) -> Any:
    """The fitted estimator of a .skops file; only linear models of scikit-learn, scalers, selectors, pipelines of them.

    scikit-learn warns if another version of it wrote the file.

    Raises:
        ImportError: if skops is not installed.
        ValueError: if the file is damaged, too large, or names another type.
    """
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(f"{path} needs skops to be read: pip install 'jaxce[skops]'.") from error
    content = read_bytes(path, _LARGEST)
    try:
        # Ours first: skops does not see what is refused here.
        refused = _untrusted(_schema(content)) or set(skops.io.get_untrusted_types(data=content)) - set(
            _TRUSTED_BY_NAME
        )
        if not refused:
            return skops.io.loads(content, trusted=list(_TRUSTED_BY_NAME))
    # skops promises no type of error for a file that it did not write.
    except Exception as error:
        raise ValueError(f"{path} is no .skops file, or was damaged: {type(error).__name__}: {error}") from error
    raise ValueError(
        f"{path} names {', '.join(sorted(refused))}, but only linear models of scikit-learn, its scalers and feature "
        "selectors, and pipelines of them are read: save the fitted model itself, such as `search.best_estimator_`."
    )


def _schema(content: bytes) -> Any:
    """What the archive says it holds; checked before anything is unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        names = [part.filename for part in parts]
        # zipfile reads no more of a part than the directory says.
        size = sum(part.file_size for part in parts)
        if size > _LARGEST or len(parts) > _MOST_PARTS:
            raise ValueError(f"it unpacks to {size} bytes in {len(parts)} parts, which no linear model has.")
        strange = [name for name in names if not _PART_NAME.fullmatch(name)]
        if strange or len(set(names)) != len(names):
            raise ValueError(
                f"its parts must have names of skops, each once, but {(strange or names)[:5]} are among them."
            )
        return parse_json(archive.read("schema.json"))


def _untrusted(schema: Any) -> set[str]:
    return {
        f"{node['__module__']}.{node['__class__']} ({node['__loader__']})"
        for node in _nodes(schema)
        if not _is_trusted(node["__loader__"], f"{node['__module__']}.{node['__class__']}")
    }


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """All objects of the schema that skops would build."""
    if isinstance(part, dict):
        if "__loader__" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for child in part:
            yield from _nodes(child)


def _is_trusted(loader: str, name: str) -> bool:
    if loader == "ObjectNode":
        return name.startswith(_TRUSTED_MODULES) or name in _TRUSTED_BY_NAME
    if loader == "FunctionNode":
        return name in _TRUSTED_BY_NAME
    return loader in _TRUSTED_LOADERS and _TRUSTED_DATA.fullmatch(name) is not None

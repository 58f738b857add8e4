"""What the source must not do: unpickle, run text as a program, or write a file that a crash leaves half written."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "jaxce"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# Modules that run what a file says, and functions that run text.
RUNNING_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml", "code", "runpy"}
RUNNING_FUNCTIONS = {"eval", "exec", "compile", "__import__"}
# Methods, and functions with their modules, that write to a path.
WRITING_METHODS = {"write_text", "write_bytes", "savefig", "tofile", "to_netcdf", "to_zarr", "to_json", "extractall"}
WRITING_FUNCTIONS = {
    *("np.save", "np.savez", "np.savez_compressed", "np.savetxt", "ase.io.write"),
    *("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move"),
}

# What is right in spite of that, with the reason.
ALLOWED = {
    ("commands/unpickling.py", "import joblib"): "runs a pickle that is trusted, in a process of its own",
    ("sampling/sample_file.py", "path.open('rb+')"): "samples behind those that count",
    ("io/structure_files.py", "plain.open('wb')"): "in a temporary folder",
}


def faults(source):
    """What a file does that none may: (source of the expression, line)."""
    tree = ast.parse(source)
    temporary = names_of_temporary_files(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((f"import {a.name}", node.lineno) for a in node.names if is_running(a.name))
        elif isinstance(node, ast.ImportFrom) and is_running(node.module):
            yield f"import {node.module}", node.lineno
        elif isinstance(node, ast.Call) and (runs(node) or (writes(node) and not names_in(node) & temporary)):
            yield ast.unparse(node), node.lineno


def is_running(module):
    return module.split(".")[0] in RUNNING_MODULES


def runs(call):
    """Whether a call may run what it is given."""
    if isinstance(call.func, ast.Name):
        return call.func.id in RUNNING_FUNCTIONS
    pickles = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "allow_pickle"]
    return pickles not in ([], ["False"]) or (ast.unparse(call.func) == "np.load" and not pickles)


def writes(call):
    """Whether a call writes to a path, as far as its name and its mode tell."""
    function = ast.unparse(call.func)
    name = function.rpartition(".")[2]
    if name in ("open", "File"):
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        modes = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return any(len(mode) <= 3 and set(mode) & set("wax+") for mode in modes)
    return function in WRITING_FUNCTIONS or ("." in function and name in WRITING_METHODS)


def names_of_temporary_files(tree):
    """What `with replacing(...) as name` and its like name, and buffers in memory."""
    nodes = list(ast.walk(tree))
    bound = [(i.optional_vars, i.context_expr) for node in nodes if isinstance(node, ast.With) for i in node.items]
    bound += [(target, node.value) for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    makers = ("replacing(", "new_folder(", "io.BytesIO(")
    return {n for name, value in bound if name and ast.unparse(value).startswith(makers) for n in names_in(name)}


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def test_no_file_runs_what_it_reads_or_writes_a_part():
    found = {file: faults((PACKAGE / file).read_text(encoding="utf-8")) for file in FILES if file != "atomic_files.py"}
    wrong = [
        f"jaxce/{file}:{line}: {what}"
        for file, places in found.items()
        for what, line in places
        if (file, what) not in ALLOWED
    ]
    assert not wrong, "use jaxce/atomic_files.py to write, and formats that hold no program: " + "; ".join(wrong)


def test_every_exception_is_in_use():
    found = {(file, what) for file in FILES for what, _ in faults((PACKAGE / file).read_text(encoding="utf-8"))}
    assert set(ALLOWED) <= found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "eval(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "open(path, 'w')",
        "path.open(mode='ab')",
        "path.write_text(text)",
        "figure.savefig(path)",
        "ase.io.write(path, atoms)",
        "h5py.File(path, 'w')",
        "shutil.copyfile(a, b)",
        "with replacing(path) as temporary:\n    np.savez(path, a=a)",
    ],
)
def test_a_fault_is_found(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "open(path, encoding='utf-8')",
        "with replacing(path) as temporary:\n    figure.savefig(temporary)",
        "write_text(path, text)",
        "array.copy()",
    ],
)
def test_what_is_right_is_left_alone(source):
    assert not list(faults(source))

"""The rules of the code base that a machine can check."""

import ast
import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "inpainting_jax"
LIBRARY = sorted(p for p in PACKAGE.rglob("*.py"))
LAUNCH = sorted((ROOT / "launch").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Imports point to the same line or a later one, never to an earlier one.
LAYERS = [
    {"launch"},
    {"training", "demo", "study", "benchmarks"},
    {"evaluation"},
    {"converters"},
    {"methods", "style"},
    {"data", "metrics", "losses"},
    {"features", "masks", "layers"},
    {
        "checkpoints",
        "checkpoint_errors",
        "weight_files",
        "images",
        "runtime",
        "deep_files",
        "image_files",
        "label_maps",
        "torch_files",
        "registry",
        "types",
        "version",
    },
]
ORDER = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {"utils", "util", "common", "misc", "helpers", "tools"}
# Words of a signature that may have a default and still be positional.
POSITIONAL_DEFAULTS = {
    "bias",
    "factor",
    "mask",
    "guide",
    "key",
    "seed",
    "strategy",
    "blend",
    "weights",
    "preset",
    "strides",
}


def part_of(path: pathlib.Path) -> str:
    """Which of the architecture's parts a library file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names of this project that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        name for name in names if name.split(".")[0] in ("inpainting_jax", "launch")
    }


def functions(path: pathlib.Path):
    """Every function of a file with the class it stands in, if any."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node, child


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = part_of(path)
    if here == "__init__":
        return  # the front door looks at everything, lazily
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "launch", f"{path} imports the launch scripts"
        if len(parts) > 1 and parts[1] in ORDER and here in ORDER:
            assert ORDER[parts[1]] >= ORDER[here], f"{path} imports {name}: upward"
        if here == "methods":
            assert parts[1] not in ("training", "data", "evaluation"), (path, name)


def test_every_part_has_its_place_in_the_order():
    parts = {part_of(path) for path in LIBRARY} - {"__init__", "configs", "weights"}
    assert parts <= set(ORDER), f"not in the order: {sorted(parts - set(ORDER))}"


@pytest.mark.parametrize(
    "path", LIBRARY + LAUNCH + TESTS, ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_and_functions_are_short(path):
    lines = path.read_text().splitlines()
    limit = 60 if path.parent.name == "launch" and path in LAUNCH else 300
    if path in TESTS:
        limit = 500
    assert len(lines) <= limit, f"{path} has {len(lines)} lines, at most {limit}"
    for _, function in functions(path):
        if path.parent.name == "configs":
            continue  # values, one a line
        body = function.body[1:] if ast.get_docstring(function) else function.body
        length = function.end_lineno - body[0].lineno + 1 if body else 0
        longest = 80 if path in TESTS else 50  # a naive loop may be long
        assert length <= longest, f"{path}: {function.name} has {length} lines"


@pytest.mark.parametrize(
    "path", LIBRARY + LAUNCH, ids=lambda p: str(p.relative_to(ROOT))
)
def test_public_names_have_docstrings(path):
    text = path.read_text()
    if not text.strip():
        return
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in tree.body:
        is_named = isinstance(node, ast.ClassDef | ast.FunctionDef)
        if is_named and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


@pytest.mark.parametrize("part", ["layers", "losses", "metrics", "masks"])
def test_options_are_keyword_only(part):
    for path in sorted((PACKAGE / part).glob("*.py")):
        for parent, function in functions(path):
            if function.name.startswith("_") or not isinstance(parent, ast.Module):
                continue
            arguments = function.args
            with_default = arguments.args[-len(arguments.defaults) :]
            for argument in with_default if arguments.defaults else []:
                assert argument.arg in POSITIONAL_DEFAULTS, (
                    f"{path}: option {argument.arg} of {function.name}"
                )


def test_a_key_comes_first_or_right_after_the_trees():
    before = {"self", "params", "variables", "state", "name", "key", "method"}
    for path in LIBRARY:
        for _, function in functions(path):
            names = [argument.arg for argument in function.args.args]
            if "key" in names and not function.name.startswith("_"):
                ahead = set(names[: names.index("key")])
                assert ahead <= before, f"{path}: key comes late in {function.name}"


def test_no_module_is_a_drawer_for_anything():
    for path in LIBRARY:
        names = {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}
        assert not names & FORBIDDEN, path


def test_no_module_hides_a_function_of_its_package():
    """`layers.gated_conv` must be the function, whatever was imported before."""
    for package in ("layers", "losses", "masks", "metrics", "methods"):
        module = importlib.import_module(f"inpainting_jax.{package}")
        files = {path.stem for path in (PACKAGE / package).glob("*.py")}
        assert not files & set(module.__all__), package


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_library_keeps_its_promises(path):
    """No flags, no star imports, no blind unpickling, no downloads."""
    text = path.read_text()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
            assert not names & {"tensorflow", "requests", "urllib.request"}, names
    # grain insists on parsed flags: marking them so is all the library may do
    flag_use = r"\bFLAGS\b(?!\.(is_parsed|mark_as_parsed)\(\))"
    assert not re.search(flag_use, text), "reads absl flags"
    assert not re.search(r"pickle\.loads?\(|allow_pickle=True", text), "unpickles"


def test_every_method_has_a_paper_and_a_learned_one_its_presets():
    from inpainting_jax.methods import METHODS

    for name in METHODS:
        module = METHODS.where(name).split(":")[0]
        doc = importlib.import_module(module).__doc__
        assert re.search(r"\b(19|20)\d\d\b", doc), f"{module} names no paper"
        if not METHODS[name]().objectives:
            continue
        config_module = importlib.import_module(f"inpainting_jax.configs.{name}")
        assert "python -m launch.train" in config_module.__doc__
        for preset in ("paper", "small", "tiny"):
            config = config_module.get_config(preset)
            assert config.method == name
            METHODS[name](**config.model, compute_dtype=config.compute_dtype)


def test_importing_the_package_is_light():
    """`import inpainting_jax` must not load JAX's backends or any heavy library."""
    import subprocess
    import sys

    code = (
        "import sys, inpainting_jax; "
        "print([m for m in ('tensorflow', 'cv2', 'skimage', 'matplotlib', 'jax') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

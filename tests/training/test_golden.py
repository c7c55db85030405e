"""The scripts in full: reviewed as code, and clean by the usual tools at the usual widths."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.configurations import CONFIGURATIONS

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_golden(name: str, pytestconfig: pytest.Config) -> None:
    text = CONFIGURATIONS[name]()
    path = GOLDEN / f"{name}.py"
    if pytestconfig.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.py")} == set(CONFIGURATIONS)


@pytest.mark.parametrize("width", [88, 100])
@pytest.mark.parametrize("inside", [True, False], ids=["in the folder", "from above"])
def test_ruff_finds_nothing(width: int, inside: bool, tmp_path: Path) -> None:
    for name, configuration in CONFIGURATIONS.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.py").write_text(configuration(), encoding="utf-8")
        (folder / "model.py").write_text("", encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--no-cache", f"--line-length={width}", "--target-version=py311"]
    folder = tmp_path / "lenet" if inside else tmp_path
    check = subprocess.run(
        [*ruff, "check", *common, "--select=E,F,I,UP,B", "."], cwd=folder, capture_output=True, text=True
    )
    layout = subprocess.run([*ruff, "format", *common, "--diff", "."], cwd=folder, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert layout.returncode == 0, layout.stdout


def test_scripts_say_nothing_of_their_maker_but_in_the_docstring() -> None:
    for name, configuration in CONFIGURATIONS.items():
        _, docstring, code = configuration().split('"""', 2)
        assert "netc" not in code, name
        assert docstring.count("netc") <= 2, name
        compile(configuration(), name, "exec")


def test_emitting_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time\n"
        "from tests.training.configurations import CONFIGURATIONS\n"
        "CONFIGURATIONS['lenet']()\n"
        "times = []\n"
        "for _ in range(20):\n"
        "    start = time.perf_counter(); CONFIGURATIONS['lenet'](); times.append(time.perf_counter() - start)\n"
        "print(min(times))\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'jinja2', 'dataclasses', 'inspect', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.005


@pytest.mark.parametrize(
    "stem",
    ['a"""b', "a'b", "a\\", "a\nb", "ä b", '"); import os; ("', "{x}", "@NETWORK@", "@CLASS@", "word|x"],
)
def test_the_stem_of_a_file_stays_text(stem: str) -> None:
    import ast

    from netc.backends.training import emit
    from tests.training.programs import image_input, lenet

    sections, settings = lenet()
    tree = ast.parse(emit("LeNet", stem, image_input(1, 32, 32), sections, settings, outputs=10))
    runs = next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "RUNS")
    assert isinstance(runs.value, ast.BinOp)
    assert ast.literal_eval(runs.value.right) == stem


@pytest.mark.parametrize("root", ['x"; import os #', "it's", "a\\b", "@BATCH@", "{0}"])
def test_paths_of_data_stay_text(root: str) -> None:
    import ast

    from netc.backends.training import emit
    from tests.training.programs import TO_TENSOR, data, dataset, image_input, train

    sections = data(dataset("MNIST", root, download=True), transform=(TO_TENSOR,))
    tree = ast.parse(emit("Net", "net", image_input(1, 28, 28), sections, train(), outputs=10))
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert {f"{root}/MNIST/raw", root} <= strings


def test_the_same_text_every_time() -> None:
    root = Path(__file__).parents[2]
    code = "from tests.training.configurations import *; print([f() for f in CONFIGURATIONS.values()])"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, env={"PYTHONHASHSEED": str(seed)}, check=True
        ).stdout
        for seed in range(3)
    }
    assert len(texts) == 1


def test_the_clock_is_not_in_the_text() -> None:
    assert str(time.localtime().tm_year) not in CONFIGURATIONS["lenet"]()

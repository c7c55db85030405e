"""`use` is the one door to Python: `--no-use` shuts it, and there is no other."""

from __future__ import annotations

import ast
import copyreg
import os
import pickle
import zipfile
from pathlib import Path

import pytest

from netc import cli
from netc.cli_scripts import _no_pickles
from netc.compiler import analyse, emit
from netc.record.checkpoint import facts
from netc.runtime.shards import whole_weights

ROOT = Path(__file__).parents[2]
LAYERS = """\
from pathlib import Path

from torch import nn

Path("canary").touch()


class Scale(nn.Module):
    def forward(self, x):
        return 2 * x
"""
DATA = """
data {
  train      = Digits()
  transform  = Resize(32) -> ToTensor
  batch_size = 512
}
train {
  loss      = CrossEntropyLoss
  optimizer = SGD(lr=0.1)
  epochs    = 1
}
"""
PROGRAM = """use "layers.py"
network Net {
  input image: [N, 1, 32, 32]
  Flatten -> Scale -> fc: Linear(10)
}
"""
READERS = ("netc/record/checkpoint.py", "netc/runtime/shards.py")
FURTHER = {"export": ["--onnx", "--untrained"], "predict": ["picture.png"]}
WITHOUT_PROGRAM = {"cache", "completion", "explain", "fmt", "report", "runs"}  # `report` has a test of its own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.py").write_text(LAYERS)
    (tmp_path / "net.net").write_text(PROGRAM + DATA)
    return tmp_path


def commands() -> list[str]:
    cli.run(["--help"])
    return sorted(set(cli.cli.commands) - WITHOUT_PROGRAM)


@pytest.mark.parametrize("command", commands())
def test_every_command_that_reads_a_program(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command, "net.net", *FURTHER.get(command, []), "--no-use"]) == 1
    said = capsys.readouterr().err
    assert 'error[E0713]: `use "layers.py"` is not allowed' in said
    assert "--> net.net:1:1" in said
    assert not (folder / "canary").exists()


def test_the_report_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder from elsewhere: its program isn't run with --no-use, and its scripts never."""
    run = folder / "runs" / "net" / "001"
    run.mkdir(parents=True)
    for name in ("net.net", "layers.py"):
        (run / name).write_text((folder / name).read_text())
    for name in ("model.py", "train.py"):
        (run / name).write_text(LAYERS)
    (run / "metrics.csv").write_text("epoch,train_loss\n1,0.5\n")
    (run / "best.pt").write_bytes(b"")
    for command in (["runs"], ["runs", "1"], ["runs", "compare", "1", "1"], ["report", "1", "--no-use"]):
        assert cli.run(command) == 0
    assert "`netc check` names them" in (run / "report.html").read_text()
    assert not (folder / "canary").exists()
    assert not (run / "canary").exists()
    assert capsys.readouterr().err == ""


def test_the_python_of_an_imported_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "parts.net").write_text('use "layers.py"\nmodule Head { Scale }\n')
    (folder / "more.net").write_text('\nimport "parts.net"\n')
    program = 'import "more.net"\nimport "parts.net"\n' + PROGRAM.partition("\n")[2].replace("Scale", "h: Head")
    (folder / "net.net").write_text(program)
    assert cli.run(["check", "net.net", "--no-use"]) == 1
    said = capsys.readouterr().err
    assert 'error[E0713]: `use "layers.py"` is not allowed' in said
    assert "in parts.net, line 1" in said
    assert not (folder / "canary").exists()


def test_the_option_does_not_last(folder: Path) -> None:
    assert cli.run(["summary", "net.net", "--no-use"]) == 1
    assert cli.run(["summary", "net.net"]) == 0
    assert (folder / "canary").exists()


def test_models_of_torchvision_are_no_python_of_the_program(folder: Path) -> None:
    (folder / "net.net").write_text(
        "network Net {\n  input image: [N, 3, 64, 64]\n  body: torchvision.models.resnet18()\n}\n"
    )
    assert cli.run(["check", "net.net", "--no-use", "-q"]) == 0


def test_a_run_whose_scripts_are_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--resume` runs the scripts of the run's folder; `--no-use` runs none that the program does not give."""
    (folder / "net.net").write_text((PROGRAM + DATA).replace('use "layers.py"\n', "").replace("Scale", "ReLU"))
    assert cli.run(["train", "net.net", "--device", "cpu", "-q", "--no-use"]) == 0
    script = folder / "runs/net/001/train.py"
    script.write_text(script.read_text() + '\nPath("canary").touch()\n')
    assert cli.run(["train", "net.net", "--device", "cpu", "-q", "--no-use", "--resume"]) == 1
    assert "`--no-use` runs no others" in capsys.readouterr().err
    assert not (folder / "canary").exists()


def test_weights_are_read_without_unpickling() -> None:
    for text, wanted in ((PROGRAM.replace('use "layers.py"\n', "").replace("Scale", "ReLU"), "1"),):
        program = analyse(text).program
        assert program is not None
        with _no_pickles(program):
            assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == wanted
        assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


# --- no other door ----------------------------------------------------------------------------------------------------

RUNS = {"exec", "eval", "compile", "__import__", "import_module", "run_path", "run_module", "exec_module", "system",
        "popen", "Popen", "check_call", "check_output", "execv", "spawn"}  # fmt: skip
MODULES = {"pickle", "marshal", "shelve", "subprocess", "dill", "cloudpickle", "joblib", "yaml", "code", "ctypes"}
# Where the package runs or imports something by a name that isn't fixed, and why that is no door.
ALLOWED = {
    ("netc/rehearsal/__init__.py", "exec"): "generated code, on stand-ins of torch",
    ("netc/rehearsal/__init__.py", "compile"): "generated code, on stand-ins of torch",
    ("netc/api.py", "exec"): "generated code, for netc.load and export",
    ("netc/api.py", "compile"): "generated code, for netc.load and export",
    ("netc/runtime/script.py", "exec"): "generated code, for eval and predict",
    ("netc/runtime/script.py", "compile"): "generated code, for eval and predict",
    ("netc/runtime/prediction.py", "exec"): "generated code: the transform",
    ("netc/runtime/labels.py", "compile"): "the functions of metrics, in which nothing is of the user",
    ("netc/runtime/labels.py", "exec"): "the functions of metrics, in which nothing is of the user",
    ("netc/runtime/prediction.py", "compile"): "generated code: the transform",
    ("netc/cli_scripts.py", "run_path"): "generated code: train.py as written, or that of a run that is resumed",
    ("netc/runtime/worker.py", "run_path"): "the same, in each of several processes",
    ("netc/runtime/nonfinite.py", "run_path"): "the same, once more, to find where a loss was lost",
    ("netc/cli.py", "import_module"): "a module of netc by its fixed name",
    ("netc/catalog/rules/__init__.py", "import_module"): "a module of netc, named by the catalog",
    ("netc/catalog/saved/__init__.py", "import_module"): "a module of netc by its fixed name",
    ("netc/catalog/extract.py", "eval"): "annotations of torch's own code, when the catalog is made",
    ("netc/foreign/entries.py", "import_module"): "torch, torchvision and parts of netc, named by the catalog",
    ("netc/foreign/probe.py", "import_module"): "THE DOOR: the Python file of a `use`",
}


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """The calls of a text, by the last part of what is called; methods of values that are only called alike are out."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found.append((node.func.id, node))
            elif isinstance(node.func, ast.Attribute):
                module = node.func.value
                own = isinstance(module, ast.Name) and module.id in (
                    "os",
                    "runpy",
                    "importlib",
                    "builtins",
                    "subprocess",
                )
                found += [(node.func.attr, node)] if own or node.func.attr in ("run_path", "exec_module") else []
    return found


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.partition(".")[0] for name in names}
    return found


def loads(tree: ast.AST) -> list[ast.Call]:
    """Calls of `torch.load`, `numpy.load` and their like."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("load", "load_state_dict_from_url")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("torch", "np", "numpy", "hub")
    ]


def is_safe(load: ast.Call) -> bool:
    """torch.load without unpickling, or numpy.load without."""
    given = {k.arg: getattr(k.value, "value", None) for k in load.keywords}
    return given.get("weights_only") is True or given.get("allow_pickle") is False


def test_the_package_runs_nothing_else() -> None:
    found = set()
    for path in sorted((ROOT / "netc").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text())
        found |= {(name, called) for called, _ in calls(tree) if called in RUNS}
        if name in READERS:  # an unpickler in which no name leads to code, see the tests below
            assert imports(tree) & MODULES == {"pickle"}
            assert path.read_text().count("pickle.") == path.read_text().count("(pickle.Unpickler)") == 1
        else:
            assert not imports(tree) & MODULES, name
        assert all(map(is_safe, loads(tree))), name
    assert found == set(ALLOWED)


class _Calls:
    """Pickled, it is a call of a function with arguments."""

    def __init__(self, function: object, *given: object) -> None:
        self.call = function, given

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


HARM = [
    _Calls(os.system, "touch canary"), _Calls(eval, "open('canary', 'w')"), _Calls(Path.touch, Path("canary")),
    _Calls(getattr, _Calls(__import__, "os"), "system"), _Calls(copyreg.constructor, print),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_reader_of_checkpoints_calls_nothing(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"epoch": 2, "calls": HARM}, protocol))
    assert facts(Path("a.pt")) in ({"epoch": 2}, {})
    assert not Path("canary").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", HARM)
def test_the_reader_of_shards_calls_nothing(
    call: _Calls, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".metadata").write_bytes(pickle.dumps(call, protocol))
    with pytest.raises(ValueError, match="is not part of a checkpoint|lists no shards"):
        whole_weights(tmp_path)
    assert not Path("canary").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.net")), ids=lambda p: p.name)
def test_generated_scripts_run_nothing(path: Path) -> None:
    program = analyse(path.read_text(), str(path), path.stem).program
    assert program is not None
    files = emit(program)
    for text in (files.model, files.train or ""):
        tree = ast.parse(text)
        assert not {called for called, _ in calls(tree)} & RUNS
        assert not imports(tree) & MODULES
        assert all(map(is_safe, loads(tree)))


def test_golden_scripts_run_nothing() -> None:
    golden = sorted((ROOT / "tests/training/golden").rglob("*.py"))
    assert golden
    for path in golden:
        text = path.read_text()
        tree = ast.parse(text)
        assert not {called for called, _ in calls(tree)} & RUNS, path.name
        assert all(map(is_safe, loads(tree))), path.name
        pickles = imports(tree) & MODULES
        assert pickles <= {"pickle"}, path.name
        if pickles:  # CIFAR's own files are pickles: read only after their sums have been compared with the known ones
            assert text.count("pickle.") == 1
            assert text.index("if found != expected") < text.index("pickle.loads(content")

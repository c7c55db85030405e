"""What is built from the repository is whole, and works where the repository isn't."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "network Net {\n  input x: [N, 4]\n  fc: Linear(2)\n}\n"


def source_files() -> set[str]:
    """Everything that the package consists of, by its place in a wheel."""
    found = set()
    for folder, inside in (("netc", "netc"), ("grammar", "netc/grammar"), ("models", "netc/models")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"{inside}/{path.relative_to(ROOT / folder).as_posix()}")
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from that sdist as an installer would."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def install(wheel: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, timeout=120, capture_output=True)
    return target


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(built[1], tmp_path_factory.mktemp("installed"))


def python(place: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages in `place` before all others, from a folder that isn't the repository."""
    environment = os.environ | {"PYTHONPATH": str(place)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


LOOK_UP = "import netc, netc.resources as r; print(netc.__file__); print(r.resource('grammar/net.lark').read_text())"


def test_the_wheel_has_every_file_of_the_package(built: tuple[Path, Path]) -> None:
    inside = {name for name in zipfile.ZipFile(built[1]).namelist() if ".dist-info/" not in name}
    assert inside == source_files()
    assert {"netc/grammar/net.lark", "netc/py.typed", "netc/catalog/layer.json"} <= inside
    assert any(name.startswith("netc/digits/") and name.endswith(".gz") for name in inside)


def test_the_sdist_has_what_the_project_consists_of(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    ours = (("netc", "*.py"), ("netc", "*.md"), ("netc", "*.json"), ("netc", "*.gz"), ("grammar", "*"), ("models", "*"))
    for folder, pattern in ours:
        assert {
            path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(pattern) if path.is_file()
        } <= inside
    assert {"pyproject.toml", "README.md", "LICENSE", "grammar/net.lark"} <= inside
    assert not {name for name in inside if name.startswith(("build/", "dist/", "runs/", ".git/"))}


def test_the_wheel_says_what_it_needs(built: tuple[Path, Path]) -> None:
    archive = zipfile.ZipFile(built[1])
    (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    needs = [line for line in archive.read(name).decode().splitlines() if line.startswith("Requires-Dist")]
    needs = [line for line in needs if "extra ==" not in line]
    assert len(needs) == len(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    assert all(">=" in line and "<" not in line for line in needs), "a lower bound, and no upper one"
    assert "netc = netc.cli:entry" in archive.read(points).decode()


def test_resources_are_found_in_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    done = python(installed, tmp_path, "-c", LOOK_UP)
    assert done.returncode == 0, done.stderr
    where, _, text = done.stdout.partition("\n")
    assert Path(where).is_relative_to(installed)
    assert text.strip() == (ROOT / "grammar" / "net.lark").read_text().strip()


def test_resources_are_found_in_an_unpacked_sdist(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (root,) = (tmp_path / "source").iterdir()
    done = python(root, tmp_path, "-c", LOOK_UP)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.partition("\n")[0]).is_relative_to(root)


def test_resources_are_found_in_an_editable_install(tmp_path: Path) -> None:
    """The one that an installer makes: a path to the repository, and no copy of anything in it."""
    hook = f"from hatchling.build import build_editable; print(build_editable({str(tmp_path)!r}))"
    made = subprocess.run(
        [sys.executable, "-c", hook], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    target = install(tmp_path / made.stdout.split()[-1], tmp_path / "site")
    assert not (target / "netc").exists()
    # Only what stands in the folder counts here, so that an install of netc beside the tests doesn't help.
    look = f"import site, sys; site.addsitedir({str(target)!r}); {LOOK_UP}"
    done = python(tmp_path, tmp_path, "-S", "-c", look)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.partition("\n")[0]).parent == ROOT / "netc"


def test_a_missing_resource_is_a_damaged_installation() -> None:
    from netc.resources import resource

    with pytest.raises(FileNotFoundError, match=r"grammar/none\.lark is missing from the installation of netc"):
        resource("grammar/none.lark")


@pytest.mark.parametrize("command", [("-m", "netc"), ("bin/netc",)], ids=["python -m netc", "netc"])
def test_the_installed_command_works_from_another_folder(
    command: tuple[str, ...], installed: Path, tmp_path: Path
) -> None:
    start = [str(installed / part) if part.startswith("bin/") else part for part in command]
    (metadata,) = installed.glob("netc-*.dist-info")
    version = metadata.name.removeprefix("netc-").removesuffix(".dist-info")
    told = python(installed, tmp_path, *start, "--version")
    assert told.returncode == 0, told.stderr
    assert version in told.stdout
    (tmp_path / "net.net").write_text(PROGRAM)
    assert python(installed, tmp_path, *start, "check", "net.net").returncode == 0
    (tmp_path / "net.net").write_text(PROGRAM.replace("Linear", "Linea"))
    failed = python(installed, tmp_path, *start, "check", "net.net")
    assert failed.returncode == 1
    assert "Linear" in failed.stderr + failed.stdout
    assert "Traceback" not in failed.stderr

"""What `pip install propense` brings works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


def run(*words, **how):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, ROOT)
    (file,) = folder.glob("propense-*.whl")
    return file


@pytest.fixture(scope="module")
def outside(wheel, tmp_path_factory):
    """Python of a fresh environment that has the wheel, and our dependencies by reference."""
    folder = tmp_path_factory.mktemp("outside")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    dependencies = sysconfig.get_path("purelib")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return python


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    inside = {
        name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name
    }  # fmt: skip
    ours = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "src/propense").split()
    assert inside == {name.removeprefix("src/") for name in ours}
    assert "propense/py.typed" in inside


def test_from_the_same_source_it_is_the_same_again(wheel, tmp_path):
    copy = tmp_path / "copy"
    ours = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard").splitlines()
    for name in ours:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    how = {**os.environ, "TZ": "Asia/Tokyo"}
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", tmp_path, copy, env=how)
    (again,) = tmp_path.glob("propense-*.whl")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_licence_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_works_outside_the_checkout(outside, tmp_path):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    where = run(outside, "-c", "import propense; print(propense.__file__)", cwd=tmp_path, env=clean)
    assert Path(where.strip()).is_relative_to(outside.parent.parent)
    page = run(outside.with_name("propense"), "--help", cwd=tmp_path, env=clean)
    assert "propense demo" in page
    assert run(outside.with_name("propense"), "run", "--help", cwd=tmp_path, env=clean)
    every = (
        "import pkgutil, importlib, propense\n"
        "for module in pkgutil.walk_packages(propense.__path__, 'propense.'):\n"
        "    if module.name != 'propense.__main__':\n"
        "        importlib.import_module(module.name)\n"
    )
    run(outside, "-c", every, cwd=tmp_path, env=clean)

"""What users get from the built wheel, as against the checkout that developers work in."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("scenekit", "scenekit_plugins", "scenekit_datasets")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=repository, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_three_packages_and_nothing_else(wheel: Path, repository: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    package = repository / "scenekit"
    files = [*package.rglob("*.py"), *(package / "templates").rglob("*.toml"), *(package / "templates").rglob("*.md")]
    assert {path.relative_to(repository).as_posix() for path in files} <= set(names)


def test_every_entry_point_is_in_the_wheel(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (listing,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    points = configparser.ConfigParser(delimiters=("=",))
    points.read_string(archive.read(listing).decode())
    assert {"scenekit", "scenekit.commands", "console_scripts"} <= set(points.sections())
    for section in points.sections():
        for target in points[section].values():
            module = target.split(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & set(archive.namelist()), f"{target} is not in the wheel"


def test_wheel_hides_no_other_package(wheel: Path) -> None:
    """In the checkout the folder `datasets` looks like the Hugging Face package; an installed wheel must not."""
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "from importlib.util import find_spec\n"
        "assert find_spec('scenekit_datasets') and not find_spec('datasets') and not find_spec('plugins')"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, cwd=wheel.parent)

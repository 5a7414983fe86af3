"""What users get from the built wheel, as against the checkout that developers work in."""

import configparser
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("scenekit", "scenekit_plugins", "scenekit_datasets")


SOURCES = {"scenekit", "plugins", "datasets"}
BESIDES = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO", ".gitignore"}
"""What a source distribution holds to build a wheel from, beside the packages."""


def built(kind: str, source: Path, folder: Path) -> Path:
    """The one file of the distribution."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", repository, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in the source distribution."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built("sdist", repository, tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def contents(wheel: Path) -> dict[str, bytes]:
    archive = zipfile.ZipFile(wheel)
    return {name: archive.read(name) for name in archive.namelist()}


def extras() -> dict[str, list[Requirement]]:
    """Requirements by extra, as the installed distribution states them; those of the base under the empty name."""
    found: dict[str, list[Requirement]] = {
        name: [] for name in ("", *metadata("scenekit").get_all("Provides-Extra", []))
    }
    for text in requires("scenekit") or []:
        requirement = Requirement(text)
        asked = [name for name in found if name and requirement.marker and requirement.marker.evaluate({"extra": name})]
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        for name in [""] if needed else asked:
            found[name].append(requirement)
    return found


def reachable(names: Iterable[str]) -> set[str]:
    """The installed distributions of those names and all that they need without extras, by normalized name."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):  # needed on other platforms
            for requirement in map(Requirement, requires(name) or []):
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    waiting.append(canonicalize_name(requirement.name))
    return found


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


def test_sdist_holds_the_packages_and_what_a_wheel_needs(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} <= SOURCES | BESIDES
    packages = (unpacked / "scenekit", *(unpacked / "plugins").iterdir(), *(unpacked / "datasets").iterdir())
    assert {path.name for path in packages} == set(PACKAGES)


def test_wheel_built_from_the_sdist_is_the_same(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    again, straight = contents(built("wheel", unpacked, tmp_path)), contents(wheel)
    assert again.keys() == straight.keys()
    assert [name for name in straight if straight[name] != again[name]] == []


def test_base_install_brings_no_opencv() -> None:
    """Nor anything else that imports as `cv2`; faster-coco-eval and the like must not want it."""
    base = reachable(requirement.name for requirement in extras()[""])
    assert {"torch", "torchvision", "faster-coco-eval"} <= base
    opencv = {canonicalize_name(name) for name in packages_distributions().get("cv2", [])}
    assert not {name for name in base if name.startswith("opencv")} | (base & opencv)


def test_extras_ask_for_what_the_base_allows() -> None:
    """No package is bounded in two ways, and what is installed here, pinned by constraints.txt, suits every extra."""
    bounds: dict[str, set[str]] = {}
    for requirements in extras().values():
        for requirement in requirements:
            bounds.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}
    for requirement in (requirement for requirements in extras().values() for requirement in requirements):
        with suppress(PackageNotFoundError):
            assert requirement.specifier.contains(version(requirement.name)), requirement


def test_pinned_versions_suit_every_requirement(repository: Path) -> None:
    pins = dict(line.split("==") for line in (repository / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {canonicalize_name(name): number for name, number in pins.items()}
    for requirement in (requirement for requirements in extras().values() for requirement in requirements):
        number = pinned.get(canonicalize_name(requirement.name))
        assert number is None or requirement.specifier.contains(number), f"{requirement}, but {number} is pinned"

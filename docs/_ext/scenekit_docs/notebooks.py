"""Environment of the pages' cells: the example distribution installed, one thread, the commands on the path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "tests" / "thirdparty" / "scenekit-distance"
PROFILE = Path(__file__).parents[1] / "ipython"


def prepare(app: Sphinx) -> None:
    """Set the environment that the kernels inherit; the example is not importable in this process."""
    build = Path(app.outdir).parent
    site, profile = build / "site", build / "ipython"
    install(EXAMPLE, site)
    shutil.copytree(PROFILE, profile, dirs_exist_ok=True)  # IPython writes into its folder
    os.environ["PYTHONPATH"] = str(site)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["OMP_NUM_THREADS"] = "1"  # comparable timings, and cores for other processes
    os.environ["COLUMNS"] = "100"  # tables of the command line are as wide as a page
    os.environ["IPYTHONDIR"] = str(profile)
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # pages show progress bars as text
    os.environ["SCENEKIT_REPOSITORY"] = str(REPOSITORY)  # cells run in temporary folders


def install(source: Path, target: Path) -> None:
    """Run `pip install SOURCE` into a folder of its own and without the network."""
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)


def setup(app: Sphinx) -> None:
    """Run before the first page is read."""
    app.connect("builder-inited", prepare)

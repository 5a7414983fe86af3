"""Shell cells of the pages: the output of a cell is shown as a whole, and a failing command fails the build."""

import os
import subprocess

from IPython import get_ipython


def sh(line: str, cell: str) -> None:
    """Run the cell as a terminal of 100 columns would, without colors."""
    terminal = {"FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"}  # the kernel asks for colors
    environment = {name: value for name, value in os.environ.items() if name not in terminal}
    done = subprocess.run(["sh", "-e", "-c", cell], env=environment, capture_output=True, text=True)
    print(done.stdout + done.stderr, end="")
    done.check_returncode()


get_ipython().register_magic_function(sh, "cell")

"""The README's example does what it says."""

import re
import subprocess
import sys
from pathlib import Path


def test_example_runs(repository: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), flags=re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"scene.json", "scene.png"}


def test_files_and_commands_that_it_names_exist(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"\brecipes/\w+\.yaml", text)
    assert [target for target in targets if not (repository / target).exists()] == []
    help_text = subprocess.run([sys.executable, "-m", "scenekit", "--help"], capture_output=True, text=True).stdout
    assert [name for name in re.findall(r"^scenekit (\w+)", text, flags=re.MULTILINE) if name not in help_text] == []

"""Users run ansible-core 2.16 and newer. Before 2.19 a template gives text where it now gives numbers and lists, so the oldest makes a whole run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

OLDEST = "ansible-core==2.16.19"


def test_the_oldest_ansible_core_finds_nothing_to_change(tmp_path: Path) -> None:
    venv, inventory = tmp_path / "venv", f"{os.environ['MOLECULE_PROJECT_DIRECTORY']}/.cache/testbed/default/inventory"
    # It does not run on the newest Pythons.
    subprocess.run(["uv", "venv", "--quiet", "--python=3.11", str(venv)], check=True)
    subprocess.run(["uv", "pip", "install", "--quiet", OLDEST, "cryptography"], check=True, env={**os.environ, "VIRTUAL_ENV": str(venv)})
    done = subprocess.run(
        [str(venv / "bin/ansible-playbook"), f"--inventory={inventory}", "taskqueue.stack.site"],
        env={**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^(ubuntu2404|rhel9) .*changed=0 ", done.stdout, re.MULTILINE) == ["rhel9", "ubuntu2404"], done.stdout

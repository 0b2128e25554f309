# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Task files that others name by a fact."""

from __future__ import annotations

import re

from .templating import ROLES, load


def test_a_file_whose_name_comes_from_a_fact_imports_nothing() -> None:
    """Before ansible-core 2.19, Ansible wants to know that name when it resolves the import, and then there is no host yet."""
    included = set()
    for path in ROLES.glob("*/tasks/*.yml"):
        for name in re.findall(r"include_tasks: [\"']?(\S*\{\{.*\}\}\S*\.yml)", path.read_text(encoding="utf-8")):
            # One of the names that the expression gives by their letters, where it does.
            named = {path.parent / re.sub(r"\{\{.*?\}\}", part, name) for part in re.findall(r"'(\w*)'", name)}
            included |= {each for each in named if each.exists()} or set(path.parent.glob(re.sub(r"\{\{.*?\}\}", "*", name)))
    assert {
        "os_update/tasks/Debian.yml", "redis/tasks/install_RedHat.yml", "redis/tasks/configure_in_turn.yml", "celery_app/tasks/install_and_release.yml",
    } <= {str(path.relative_to(ROLES)) for path in included}  # fmt: skip
    imports = {str(path): [each["name"] for each in load(str(path)) if "ansible.builtin.import_tasks" in each] for path in included}
    assert {path: names for path, names in imports.items() if names} == {}

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a configuration names, installed by the module that installs the configuration: certificates, keys, lists of users."""

from __future__ import annotations

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ._certificates import is_key
from ._masking import MASK

# The option of a module. A default mode is the module's to say.
FILES = {
    "type": "list",
    "elements": "dict",
    "default": [],
    # Of an option inside, Ansible knows the value and not how it looks in the log, where a key's lines are escaped.
    "no_log": True,
    "options": {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "no_log": True},
        "src": {"type": "path"},
        "mode": {"type": "str", "default": "0600"},
    },
}
DIRECTORY_MODE = 0o750


class FileProblem(Exception):
    """What a person has to put right."""


class NamedFile:
    """One of them: what it is to hold, and what it holds."""

    def __init__(self, options: dict, lenient: bool = False) -> None:
        """With `lenient`, `src` may be missing: in check mode nobody has put it there yet."""
        self.path, self.mode, self.src = options["path"], options["mode"], options["src"]
        # None: nobody knows.
        self.wanted: str | None = options["content"]
        if bool(self.src) == bool(self.wanted):
            raise FileProblem(f"{self.path}: of content and src, one has to be given in files, and not both.")
        if self.src:
            self.wanted = _read(self.src)
            if self.wanted is None and not lenient:
                raise FileProblem(f"{self.path} was to be made from {self.src}, and there is no such file on this host. Nothing was changed.")
        self.found = _read(self.path)

    @property
    def differs(self) -> bool:
        """Whether it holds something else."""
        return self.found is None or self.wanted not in (None, self.found)

    @property
    def text(self) -> str:
        """What it is to hold; empty when nobody knows."""
        return self.wanted or ""

    def install(self, module: AnsibleModule, owner: str, group: str | None) -> None:
        """Put the new content in the place of the old, in one step."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            os.mkdir(directory)
            # Whatever the umask says.
            os.chmod(directory, DIRECTORY_MODE)
            module.set_owner_if_different(directory, owner, False)
            module.set_group_if_different(directory, group, False)
            module.set_default_selinux_context(directory, False)
        handle, temporary = tempfile.mkstemp(dir=directory)
        try:
            with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                stream.write(self.text)
            module.atomic_move(temporary, self.path)
            self._give_rights(module, owner, group)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
        self.found = self.wanted

    def set_attributes(self, module: AnsibleModule, owner: str, group: str | None) -> bool:
        """Correct owner, group and mode where somebody changed them. True when they were, or in check mode would be."""
        return os.path.exists(self.path) and self._give_rights(module, owner, group)

    def _give_rights(self, module: AnsibleModule, owner: str, group: str | None) -> bool:
        changed = module.set_mode_if_different(self.path, self.mode, False)
        changed = module.set_owner_if_different(self.path, owner, changed)
        return module.set_group_if_different(self.path, group, changed)

    def difference(self) -> dict[str, str]:
        """Before and after. Certificates may be read by everybody; of all else only that it changes is said."""
        sides = {"before": self.found or "", "after": self.text}
        if any(side and (is_key(side) or "-----BEGIN CERTIFICATE-----" not in side) for side in sides.values()):
            sides = {"before": "(what it held before)\n" if self.found else "", "after": "(new, and not to be shown)\n"}
        return {"before_header": self.path, "after_header": self.path, **sides}


def named_files(module: AnsibleModule, options: list[dict]) -> list[NamedFile]:
    """What a module's option `files` says. From here on its secrets are neither in the parameters nor in what is masked everywhere."""
    found = []
    # Neither names and modes are secrets, nor is a certificate in a difference.
    for each in options:
        module.no_log_values.difference_update(value for value in each.values() if value and not is_key(value))
    for each in options:
        found.append(NamedFile(each, lenient=module.check_mode))
        each["content"] = MASK if each["content"] else None
    return found


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileProblem(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error

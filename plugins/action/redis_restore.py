# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of redis_restore: finds the snapshot, refuses what is none, and sends it."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_snapshot import MAGIC, snapshots


class ActionModule(ActionBase):
    """Sends the snapshot, also in check mode, and runs the module on it."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        result = super().run(tmp, task_vars)
        args = self._task.args.copy()
        if not args.get("src"):
            raise AnsibleActionFail("src is missing: name a snapshot, or the directory with the copies of redis_backup.")
        try:
            path = self._find(os.path.abspath(os.path.expanduser(str(args["src"]))), (task_vars or {})["inventory_hostname"])
        except OSError as error:
            raise AnsibleActionFail(f"src: {error.filename} on the control node: {error.strerror}") from error
        remote = self._make_tmp_path()
        try:
            target = self._connection._shell.join_path(remote, "dump.rdb")
            self._transfer_file(path, target)
            self._fixup_perms2((remote, target))
            args.update(src=path, _file=target)
            answer = self._execute_module(module_name="taskqueue.stack.redis_restore", module_args=args, task_vars=task_vars)
        finally:
            self._remove_tmp_path(remote)
        result.update(answer, file=path)
        return result

    def _find(self, path: str, host: str) -> str:
        if os.path.isdir(path):
            found = snapshots(path, host)
            if not found:
                raise AnsibleActionFail(f"src: {path} on the control node holds no copy of {host}, named {host}_TIME.rdb. Name the file itself.")
            path = found[-1]
        with open(path, "rb") as stream:
            if not stream.read(max(map(len, MAGIC))).startswith(MAGIC):
                raise AnsibleActionFail(
                    f"src: {path} is no snapshot: an RDB file begins with REDIS. An append-only file, or an archive, is not what is wanted here."
                )
        return path

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of redis_backup: fetches the snapshot, proves that it arrived whole, lets old ones go.

Not by ansible.builtin.fetch: under become it reads the whole file into memory, several times over.
"""

from __future__ import annotations

import os
import tempfile
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.taskqueue.stack.plugins.module_utils._redis_snapshot import file_name, snapshots
from ansible_collections.taskqueue.stack.plugins.module_utils._source_tree import file_digest


class ActionModule(ActionBase):
    """Runs the module, and brings home what it left on the host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        result = super().run(tmp, task_vars)
        args = self._task.args.copy()
        keep = args.get("keep", 0)
        if not str(keep).isdigit():
            raise AnsibleActionFail(f"keep is {keep!r}: write how many copies to keep of each host, or 0 for all.")
        remote = self._make_tmp_path()
        try:
            args["_copy"] = self._connection._shell.join_path(remote, "dump.rdb")
            result.update(self._execute_module(module_name="taskqueue.stack.redis_backup", module_args=args, task_vars=task_vars))
            if "checksum" in result:
                directory = os.path.abspath(os.path.expanduser(args["dest"]))
                host = (task_vars or {})["inventory_hostname"]
                try:
                    result["file"] = self._fetch(args["_copy"], directory, host, result["checksum"])
                    result["removed"] = snapshots(directory, host)[: -int(keep)] if int(keep) else []
                    for path in result["removed"]:
                        os.unlink(path)
                except OSError as error:
                    raise AnsibleActionFail(f"dest: {error.filename or directory} on the control node: {error.strerror}") from error
        finally:
            self._remove_tmp_path(remote)
        return result

    def _fetch(self, remote: str, directory: str, host: str, checksum: str) -> str:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        # Under another name until it is known to be whole: what is named as a copy is one.
        handle, partial = tempfile.mkstemp(dir=directory, prefix=".", suffix=".part")
        os.close(handle)
        try:
            self._connection.fetch_file(remote, partial)
            if file_digest(partial) != checksum:
                raise AnsibleActionFail("the snapshot did not arrive as it left the host: run again.")
            os.chmod(partial, 0o600)
            path = os.path.join(directory, file_name(host, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))
            os.rename(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
        return path

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of celery_release: digests a local source, and sends it only to hosts that lack the release."""

from __future__ import annotations

import importlib
import os
import tempfile

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.taskqueue.stack.plugins.module_utils._source_tree import file_digest, pack_tree

ARCHIVES = (".whl", ".tar.gz", ".zip")


def _default_index() -> str | None:
    """The index that pip takes where none is configured. Only a build wants it, and a controller without pip does not know it."""
    try:
        return importlib.import_module("pip._internal.models.index").PyPI.simple_url
    except (ImportError, AttributeError):
        return None


class ActionModule(ActionBase):
    """Runs the module once, and a second time with the source when the host asks for it; in the background once, with the source."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        result = super().run(tmp, task_vars)
        args = self._task.args.copy()
        args.pop("_source", None)
        args.pop("_default_index", None)
        source = args.get("source")
        path = None
        if source and not args.get("release") and not str(source).startswith("git+"):
            path = self._find_source(str(source))
            args["_source"] = self._describe(path)
        # In the background nobody hears that the source is wanted.
        if path and self._task.async_val:
            answer = self._run_with_source(path, args, task_vars)
        elif self._task.async_val:
            answer = self._run_module({**args, "_default_index": _default_index()}, task_vars)
        else:
            answer = self._run_module(args, task_vars)
            if answer.pop("source_wanted", False):
                answer = self._run_with_source(path, args, task_vars)
        result.update(answer)
        return result

    def _run_module(self, args: dict, task_vars: dict | None) -> dict:
        return self._execute_module(
            module_name="taskqueue.stack.celery_release", module_args=args, task_vars=task_vars, wrap_async=self._task.async_val
        )

    def _find_source(self, source: str) -> str:
        if "://" in source:
            raise AnsibleActionFail(
                f"source: {source.split('://')[0]}:// is not understood: write git+URL for a repository; a file behind a URL belongs into"
                " requirements, as NAME @ URL"
            )
        try:
            return os.path.realpath(self._find_needle("files", os.path.expanduser(source)))
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"source: {source!r} does not exist on the controller, neither beside the playbook or role nor in its files directory"
                " (a repository is written as git+URL)"
            ) from error

    def _describe(self, path: str) -> dict[str, str]:
        try:
            if os.path.isdir(path):
                return {"kind": "directory", "digest": pack_tree(path)}
            if path.endswith(ARCHIVES):
                return {"kind": "archive", "name": os.path.basename(path), "digest": file_digest(path)}
        except OSError as error:
            raise AnsibleActionFail(f"source: cannot read {error.filename or path} on the controller: {error.strerror}") from error
        raise AnsibleActionFail(f"source: {path} is neither a directory nor one of {', '.join(ARCHIVES)}")

    def _run_with_source(self, path: str, args: dict, task_vars: dict | None) -> dict:
        described = args["_source"]
        remote = self._make_tmp_path()
        try:
            with tempfile.TemporaryDirectory() as scratch:
                local = path
                if described["kind"] == "directory":
                    local = os.path.join(scratch, "source.tar.gz")
                    if pack_tree(path, local) != described["digest"]:
                        raise AnsibleActionFail(f"source: {path} changed while it was being packed: run again")
                # pip reads a wheel's name, so archives keep theirs.
                target = self._connection._shell.join_path(remote, os.path.basename(local))
                self._transfer_file(local, target)
            self._fixup_perms2((remote, target))
            # In the background the module goes on reading when this is over, and takes the directory away itself.
            sent = {"archive": target, "directory": remote if self._task.async_val else None}
            return self._run_module({**args, "_source": {**described, **sent}, "_default_index": _default_index()}, task_vars)
        finally:
            if not self._task.async_val:
                self._remove_tmp_path(remote)

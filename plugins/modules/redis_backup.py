#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a consistent copy of a running Redis's data to the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_backup
short_description: Bring a consistent copy of a running Redis's data to the control node
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Has the running Redis or Valkey write a snapshot (C(BGSAVE)), while it goes on serving its clients. A snapshot is all of
    its data at one moment, with an append-only file or without one, on every version.
  - Has the server's own C(redis-check-rdb) read the snapshot, brings it to the control node, and compares checksums there.
    Only then does it count as a copy, and may older ones go.
  - The file is named C(HOST_TIME.rdb), with the time in UTC. It can be read by the user who runs Ansible and nobody else.
options:
  path:
    description: The configuration file that the server runs on.
    type: path
    default: /etc/redis/redis.conf
  server:
    description: The server's program. The one that checks snapshots lies beside it and is named after it.
    type: str
    default: redis-server
  service:
    description:
      - The systemd service that runs on O(path).
      - Without it, the server that names O(path) as its file is the one.
    type: str
  login_user:
    description: A user with the right to C(CONFIG), C(INFO) and C(BGSAVE), where the default user is off or has fewer rights.
    type: str
  login_password:
    description:
      - The password to log in to the running server with.
      - Without it, the module takes the password that the file has for the default user.
    type: str
  dest:
    description: Directory on the control node. It is created, for this user alone, when it is missing.
    type: path
    required: true
  keep:
    description: How many copies of this host to keep there, the new one included. V(0) keeps all.
    type: int
    default: 0
  timeout:
    description: Seconds that the snapshot may take to be written.
    type: int
    default: 600
  _copy:
    description: Where the plugin on the control node wants the copy, to fetch it from there. Not for use in tasks.
    type: path
attributes:
  check_mode:
    support: full
    description: Finds the server and logs in to it, and copies nothing.
  diff_mode:
    support: none
    description: Nothing of the host is changed.
notes:
  - Runs as root, or as the user of the server.
  - On the host, the copy lies in Ansible's temporary directory until it has been fetched. The disk has to have room for it, and
    for the snapshot in the server's own directory.
"""

EXAMPLES = r"""
- name: Back up, and keep the last two weeks
  taskqueue.stack.redis_backup:
    service: redis-server
    dest: /srv/backups/redis
    keep: 14
"""

RETURN = r"""
file:
  description: The copy on the control node.
  returned: success, outside check mode
  type: str
  sample: /srv/backups/redis/queue.example.com_20260102T030405Z.rdb
checksum:
  description: Its SHA-256.
  returned: success, outside check mode
  type: str
size:
  description: Its size in bytes.
  returned: success, outside check mode
  type: int
key_count:
  description: How many keys it holds.
  returned: success, outside check mode
  type: int
removed:
  description: Older copies that went because of O(keep).
  returned: success, outside check mode
  type: list
  elements: str
version:
  description: The server's version.
  returned: success
  type: str
  sample: 7.0.15
"""

import hashlib
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import Masker
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read, secrets
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_snapshot import BadSnapshot, examine
from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import Systemd, SystemdError


class Problem(Exception):
    """What stops the module, as a person is to read it."""


class Backup:
    """One run of the module."""

    def __init__(self, module: AnsibleModule, text: str | None) -> None:
        self.module = module
        self.options = module.params
        self.path = self.options["path"]
        self.text = text

    def run(self) -> dict:
        """Do it, and say what came of it."""
        program = self.module.get_bin_path(self.options["server"])
        if not program or self.text is None:
            missing = self.options["server"] if not program else self.path
            raise Problem(f"there is no {missing} on this host, so no Redis to back up: run the playbook site first, or name another.")
        with self._connect() as client:
            result = {"changed": True, "version": client.version()}
            if self.module.check_mode:
                return result
            place = {**client.config("dir"), **client.config("dbfilename")}
            self._save(client)
        return {**result, **self._copy(program, os.path.join(place["dir"], place["dbfilename"]))}

    def _connect(self) -> RedisClient:
        service = self.options["service"]
        process = Systemd(self.module.run_command).show([service])[service].pid if service else None
        login = tuple(word for word in (self.options["login_user"], self.options["login_password"]) if word)
        try:
            client = None if process == 0 else connect([parse(self.text)], login, process, self.path)
        except NotFound as error:
            raise Problem(f"Redis runs, and it could not be asked: {error}. Give its present password as login_password.") from error
        if client is None:
            raise Problem(f"{service or 'Redis'} does not run, and only a running server can write a snapshot: start it first.")
        return client

    def _save(self, client: RedisClient) -> None:
        """A snapshot that was begun now. One that is being written already may lack what came in since."""
        deadline = time.monotonic() + self.options["timeout"]
        begun = False
        while time.monotonic() < deadline:
            try:
                begun = begun or bool(client.call("BGSAVE"))
            except RedisError as error:
                # It saves already, or rewrites its append-only file: one at a time.
                if "progress" not in str(error) and "child process" not in str(error):
                    raise
            state = client.info("persistence")
            if begun and state["rdb_bgsave_in_progress"] == "0":
                if state["rdb_last_bgsave_status"] != "ok":
                    raise Problem("the server could not write the snapshot, and its log says why: often a full disk.")
                return
            time.sleep(0.1)
        raise Problem(f"after {self.options['timeout']} seconds the snapshot was not written. Give it more with timeout.")

    def _copy(self, program: str, snapshot: str) -> dict:
        target = self.options["_copy"]
        digest = hashlib.sha256()
        with open(snapshot, "rb") as source, open(target, "xb") as copy:
            for block in iter(lambda: source.read(1 << 20), b""):
                digest.update(block)
                copy.write(block)
        try:
            found = examine(program, target)
        except BadSnapshot as error:
            raise Problem(f"the snapshot that the server wrote is not sound: {error}. Look at the disk and the memory of the host.") from error
        size = os.path.getsize(target)
        # It is fetched by the user who logs in, who owns the directory.
        owner = os.stat(os.path.dirname(target))
        os.chown(target, owner.st_uid, owner.st_gid)
        return {"key_count": found.keys, "size": size, "checksum": digest.hexdigest()}


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/redis/redis.conf"},
            "server": {"type": "str", "default": "redis-server"},
            "service": {"type": "str"},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "dest": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 600},
            "_copy": {"type": "path"},
        },
        supports_check_mode=True,
    )
    os.umask(0o077)
    mask = Masker(set())
    try:
        text = read(module.params["path"])
        mask = Masker(secrets(text or "") | {word for word in [module.params["login_password"]] if word})
        if not module.params["_copy"]:
            raise Problem("redis_backup needs its plugin on the control node: call it as taskqueue.stack.redis_backup.")
        result = Backup(module, text).run()
    except (Problem, OSError, RedisError, SystemdError) as error:
        module.fail_json(msg=mask(str(error)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

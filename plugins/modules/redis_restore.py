#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a snapshot in the place of a Redis's data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_restore
short_description: Put a snapshot in the place of a Redis's data
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Replaces all data of a Redis or Valkey by those of a snapshot (an RDB file) on the control node, such as M(taskqueue.stack.redis_backup)
    brings there.
  - Everything is made ready while the server goes on as it is. The server's own C(redis-check-rdb) reads the file. Then a private
    process of the server's program loads it, is asked whether all keys are there, and writes the append-only file, without which
    a server with C(appendonly yes) would start empty. A file that is no snapshot, or of a version newer than the server,
    changes nothing.
  - Only then is the service stopped, the data exchanged by renaming, and the service started. The former data are kept in a
    directory beside the new ones, C(before-restore-TIME), until somebody removes it. When the service does not come up, or has
    not got the keys, the former data come back and the module fails.
  - A service that does not run, for example because its data are damaged, is restored and started all the same.
options:
  src:
    description:
      - The snapshot on the control node.
      - Or a directory with the copies of M(taskqueue.stack.redis_backup). Then the host's newest is taken.
    type: path
    required: true
  path:
    description: The configuration file that the service starts with. It says where the data lie, and stays as it is.
    type: path
    default: /etc/redis/redis.conf
  server:
    description: The server's program. The one that checks snapshots lies beside it and is named after it.
    type: str
    default: redis-server
  user:
    description: System user that the service runs as, and that the data belong to.
    type: str
    default: redis
  service:
    description: The systemd service that runs on O(path).
    type: str
    required: true
  login_user:
    description: A user with the right to C(INFO), where the default user is off or has fewer rights.
    type: str
  login_password:
    description:
      - The password to log in to the restored server with.
      - Without it, the module takes the password that the file has for the default user.
    type: str
  timeout:
    description: Seconds that each of loading the data, writing the append-only file and starting the service may take.
    type: int
    default: 600
  _file:
    description: Where the plugin on the control node has put the snapshot. Not for use in tasks.
    type: path
attributes:
  check_mode:
    support: full
    description: Sends the snapshot and has it checked, then goes no further.
  diff_mode:
    support: none
    description: Data are not shown.
notes:
  - Needs, for the time it takes, the memory of a second server with these data, and room on the disk for them beside the former.
  - Stop the workers first, as the playbook C(taskqueue.stack.restore) does. What they do in between is not in the snapshot.
  - A replica is refused, as it would get its primary's data again. Replicas of a restored primary follow it by themselves.
"""

EXAMPLES = r"""
- name: Go back to the newest copy of this host
  taskqueue.stack.redis_restore:
    src: /srv/backups/redis
    service: redis-server
"""

RETURN = r"""
file:
  description: The snapshot on the control node.
  returned: success, and on failure as far as known
  type: str
  sample: /srv/backups/redis/queue.example.com_20260102T030405Z.rdb
key_count:
  description: How many keys it holds. Those whose time has run out since do not come back.
  returned: success
  type: int
kept:
  description: The directory on the host that now holds the former data. Empty when there were none.
  returned: success, outside check mode
  type: str
  sample: /var/lib/redis/before-restore-20260102T030405Z
restored:
  description: Whether the former data were put back, because the server did not come up with the new ones.
  returned: failure
  type: bool
server_version:
  description: Version of the server that wrote the snapshot.
  returned: success
  type: str
  sample: 7.0.15
"""

import os
import shutil
import signal
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import Masker
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read, secrets
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_plan import count_keys
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_snapshot import BadSnapshot, Snapshot, examine, give, load
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import Refused, ThrowAway, server_words
from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import Systemd, SystemdError, UnitState


class Problem(Exception):
    """What stops the module, as a person is to read it."""

    def __init__(self, message: str, restored: bool = False) -> None:
        super().__init__(message)
        self.restored = restored


class Restore:
    """One run of the module."""

    def __init__(self, module: AnsibleModule, text: str | None) -> None:
        options = module.params
        self.module = module
        self.text = text
        self.path, self.server, self.user, self.service = (options[name] for name in ("path", "server", "user", "service"))
        self.program = module.get_bin_path(self.server)
        self.source, self.name, self.timeout = options["_file"], options["src"], options["timeout"]
        self.login = tuple(word for word in (options["login_user"], options["login_password"]) if word)
        self.systemd = Systemd(module.run_command)
        self.values: dict[str, str] = {}

    def run(self) -> dict:
        """Do it, and say what came of it."""
        self._check_host()
        try:
            snapshot = examine(self.program, self.source)
        except BadSnapshot as error:
            raise Problem(
                f"{self.name} is no snapshot that {self.server} on this host can load: {error}. Nothing was changed. "
                "Take another copy; one of a newer version needs a server of that version."
            ) from error
        result = {"changed": True, "key_count": snapshot.keys, "server_version": snapshot.server_version}
        if self.module.check_mode:
            return result
        staged = self._stage(snapshot)
        try:
            result["kept"] = self._exchange(staged, snapshot)
        finally:
            shutil.rmtree(staged)
        return result

    def _check_host(self) -> None:
        if not self.program or self.text is None:
            missing = self.server if not self.program else self.path
            raise Problem(f"there is no {missing} on this host, so no Redis to restore: run the playbook site first, or name another.")
        if self._state().load != "loaded":
            raise Problem(f"there is no service {self.service} to stop and start: name the one of the package in service.")
        try:
            with ThrowAway(self.program, self.user, self.text) as proof:
                self.values = proof.meaning().values
        except KeyError as error:
            raise Problem(f"there is no system user {self.user} to run {self.server} as: name the one of the service in user.") from error
        except Refused as error:
            raise Problem(f"{self.server} does not accept {self.path}: {error}. Nothing was changed. Run the playbook redis first.") from error
        if self.values["replicaof"]:
            raise Problem(
                f"this Redis is a replica of {self.values['replicaof']}, whose data it would take again at once. Nothing was changed. "
                "Restore that one."
            )
        if not self.values["dir"]:
            raise Problem(f"{self.path} does not say dir, so nobody knows where the data lie. Nothing was changed.")

    def _stage(self, snapshot: Snapshot) -> str:
        """A directory with all files of a server that holds the snapshot's data, on the file system where they are to lie."""
        place = tempfile.mkdtemp(prefix="restore-", dir=self.values["dir"])
        try:
            file = os.path.join(place, self.values["dbfilename"])
            shutil.copyfile(self.source, file)
            for path in (place, file):
                give(path, self.user)
            load(self.program, self.user, self.values, place, snapshot, self.timeout)
        except BadSnapshot as error:
            shutil.rmtree(place)
            raise Problem(f"{self.server} could not load {self.name}: {error}. Nothing was changed.") from error
        except BaseException:
            shutil.rmtree(place)
            raise
        return place

    def _exchange(self, staged: str, snapshot: Snapshot) -> str:
        """Stops, exchanges, starts. The directory that holds the former data."""
        place = self.values["dir"]
        # Every place where one version or another would look for data.
        names = [self.values[name] for name in ("dbfilename", "appendfilename", "appenddirname") if self.values.get(name)]
        kept = os.path.join(place, time.strftime("before-restore-%Y%m%dT%H%M%SZ", time.gmtime()))
        was_running = self._state().is_running
        log = self.values["logfile"]
        size = os.path.getsize(log) if os.path.exists(log) else 0
        begun = time.time()
        moved: list[tuple[str, str]] = []

        def move(source: str, target: str) -> None:
            for name in names:
                if os.path.lexists(os.path.join(source, name)):
                    moved.append((os.path.join(source, name), os.path.join(target, name)))
                    os.rename(*moved[-1])

        os.mkdir(kept, 0o700)
        give(kept, self.user)
        try:
            self.systemd.systemctl("stop", [self.service])
            if self._state().is_running:
                raise Problem(f"{self.service} does not stop.")
            move(place, kept)
            move(staged, place)
            self._start(snapshot)
        except BaseException as error:
            words = self._log(log, size, begun)
            outcome = self._put_back(moved, kept, was_running)
            if isinstance(error, (Problem, OSError, RedisError, SystemdError)):
                raise Problem(f"{error} {words}{outcome}", restored=True) from error
            raise
        if os.listdir(kept):
            return kept
        os.rmdir(kept)
        return ""

    def _start(self, snapshot: Snapshot) -> None:
        # Earlier failures count towards StartLimitBurst, and would turn this start down unheard.
        for verb in ("reset-failed", "start"):
            self.systemd.systemctl(verb, [self.service])
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            state = self._state()
            if not state.is_running or state.restarts:
                raise Problem(f"{self.service} did not come up with the data of {self.name}.")
            try:
                client = connect([parse(self.text)], self.login, state.pid, self.path) if state.pid else None
            except NotFound as error:
                client = None
                if error.login_refused:
                    self.module.warn(f"{self.service} runs, and could not be asked whether it has the keys: {error}. Give login_password.")
                    return
            if client:
                with client:
                    if client.info("persistence")["loading"] == "0":
                        # No more than that: its clients are back, and may have taken and added some.
                        if snapshot.lasting and not count_keys(client.info("keyspace")):
                            raise Problem(f"{self.service} came up, and without the keys of {self.name}.")
                        return
            time.sleep(0.1)
        raise Problem(f"{self.service} was not ready after {self.timeout} seconds. Give it more with timeout.")

    def _put_back(self, moved: list[tuple[str, str]], kept: str, was_running: bool) -> str:
        try:
            self.systemd.systemctl("stop", [self.service])
            for source, target in reversed(moved):
                os.rename(target, source)
            os.rmdir(kept)
            if was_running:
                for verb in ("reset-failed", "start"):
                    self.systemd.systemctl(verb, [self.service])
        except (OSError, SystemdError) as error:
            return f"The former data were not all put back, or not started with: {error}. What {kept} holds belongs into {self.values['dir']}."
        return f"The former data are back, and {self.service} {'runs with them again' if was_running else 'is stopped, as it was'}."

    def _log(self, log: str, size: int, begun: float) -> str:
        output = self.systemd.journal(self.service, begun, lines=50) + "\n"
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as stream:
                stream.seek(size)
                output += stream.read()
        words = server_words(output)
        return f"Its log says: {words}. " if words else ""

    def _state(self) -> UnitState:
        return self.systemd.show([self.service])[self.service]


def stop(number: int, _frame: object) -> None:
    """Ends the run as an error would."""
    raise Problem(f"stopped by {signal.Signals(number).name} before it was done.")


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "path": {"type": "path", "default": "/etc/redis/redis.conf"},
            "server": {"type": "str", "default": "redis-server"},
            "user": {"type": "str", "default": "redis"},
            "service": {"type": "str", "required": True},
            "login_user": {"type": "str"},
            "login_password": {"type": "str", "no_log": True},
            "timeout": {"type": "int", "default": 600},
            "_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    os.umask(0o077)
    # A play that is cut off takes its module with it. The former data must not stay aside.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, stop)
    mask = Masker(set())
    try:
        text = read(module.params["path"])
        mask = Masker(secrets(text or "") | {word for word in [module.params["login_password"]] if word})
        if not module.params["_file"]:
            raise Problem("redis_restore needs its plugin on the control node: call it as taskqueue.stack.redis_restore.")
        result = Restore(module, text).run()
    except Problem as problem:
        module.fail_json(msg=mask(str(problem)), restored=problem.restored)
    except (OSError, RedisError, SystemdError) as error:
        module.fail_json(msg=mask(str(error)), restored=False)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

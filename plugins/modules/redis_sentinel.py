#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a Redis Sentinel, and tells it what to watch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_sentinel
short_description: Run a Redis Sentinel, and tell it what to watch
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Writes the configuration file of a Sentinel once. As soon as Sentinel has made it its own (C(sentinel myid)), that file is its
    memory, of the present primary above all, and is not written anew.
  - What it watches, and how, is then told to the running Sentinel (C(SENTINEL MONITOR), C(SET), C(REMOVE)). Who the primary is, is
    told to a Sentinel only that does not know of one by that name.
  - Of what Sentinel cannot take while it runs (addresses, ports, certificates, its own password; before 7.0 also how it logs in to
    servers), single lines are changed while it is stopped. All that it has written itself stays.
  - Servers and Sentinels that left the inventory and are down are forgotten (C(SENTINEL RESET)), as they would count for a majority.
    So is a Sentinel whose machine was replaced by another of the same address. It is done only while the primary and all known replicas
    of the inventory are well, and ends when the others have been found again.
  - When the Sentinel does not start, the files and settings that it last ran with are put back.
options:
  path:
    description: The configuration file that the service starts with.
    type: path
    default: /etc/redis/sentinel.conf
  content:
    description: Lines on the Sentinel itself, such as C(port) and C(requirepass), and C(sentinel announce-ip).
    type: str
    required: true
  primaries:
    description: What to watch. A primary that is not among them is not watched any more.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name that Sentinels and clients have for it.
        type: str
        required: true
      nodes:
        description: The servers of which it is one.
        type: list
        elements: dict
        required: true
        suboptions: &node
          name:
            description: Name in the inventory.
            type: str
            required: true
          host:
            description: Name or address.
            type: str
            required: true
          port:
            description: Port.
            type: int
            required: true
      primary:
        description: Which of O(primaries[].nodes) it is, for a Sentinel that does not know.
        type: str
        required: true
      quorum:
        description: How many Sentinels must agree that it is down.
        type: int
        required: true
      down_after:
        description: After how many milliseconds without an answer it is down.
        type: int
        required: true
      failover_timeout:
        description: Milliseconds. After a failover that came to nothing, the next attempt is made after twice that time.
        type: int
        required: true
      parallel_syncs:
        description: How many replicas at a time get the data of a new primary.
        type: int
        default: 1
      auth_user:
        description: User to log in to the servers with.
        type: str
        default: ""
      auth_pass:
        description: Password to log in to the servers with.
        type: str
        default: ""
  sentinels:
    description: All Sentinels of these primaries.
    type: list
    elements: dict
    required: true
    suboptions: *node
  service:
    description: The systemd service that runs on O(path).
    type: str
    required: true
  enabled:
    description: Whether the service starts at boot.
    type: bool
    default: true
  drop_in:
    description: Settings of systemd for the service, as in M(taskqueue.stack.redis_config).
    type: str
    default: ""
  files:
    description: Files that O(content) names, the certificates and keys of TLS.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where O(content) says that the file is.
        type: path
        required: true
      content:
        description: What it holds.
        type: str
      src:
        description: A file on the host to copy. Give this or O(files[].content).
        type: path
      mode:
        description: Its mode.
        type: str
        default: "0600"
  timeout:
    description: Seconds to wait for Sentinel to answer after a start.
    type: int
    default: 30
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    description: Says what would be told and whether it would be restarted, also where nothing is installed.
  diff_mode:
    support: full
    description: The file, where the module writes it, and what Sentinel is told, with every secret masked.
"""

EXAMPLES = r"""
- name: Run a Sentinel
  taskqueue.stack.redis_sentinel:
    content: |
      bind 0.0.0.0
      port 26379
      dir /var/lib/redis
      requirepass "{{ vault_sentinel_password }}"
    primaries:
      - name: mymaster
        nodes:
          - {name: redis1, host: 192.0.2.1, port: 6379}
          - {name: redis2, host: 192.0.2.2, port: 6379}
        primary: redis1
        quorum: 2
        down_after: 5000
        failover_timeout: 10000
        auth_pass: "{{ vault_redis_password }}"
    sentinels:
      - {name: redis1, host: 192.0.2.1, port: 26379}
      - {name: redis2, host: 192.0.2.2, port: 26379}
      - {name: monitor, host: 192.0.2.3, port: 26379}
    service: redis-sentinel
    owner: redis
    group: redis
    mode: "0640"
"""

RETURN = r"""
told:
  description: What the running Sentinel was told, without passwords. What it found in its file when it started was not told.
  returned: success
  type: list
  elements: str
  sample: [SET mymaster down-after-milliseconds 5000]
seeded:
  description: Whether the file was written, for the first time.
  returned: success
  type: bool
started:
  description: Whether it did not run and was started.
  returned: success
  type: bool
restarted:
  description: Whether it was restarted.
  returned: success
  type: bool
restart_reasons:
  description: What it could not take while it ran.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._drop_in import DropIn
from ansible_collections.taskqueue.stack.plugins.module_utils._masking import MASK, Masker
from ansible_collections.taskqueue.stack.plugins.module_utils._named_files import FILES, FileProblem, NamedFile, named_files
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisClient, RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import masked, parse, quoted, read, secrets, split
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import NODE, Node, find, is_loopback
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_running import NotFound, connect
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import server_words
from ansible_collections.taskqueue.stack.plugins.module_utils._systemd import Systemd, SystemdError, UnitState

# What this module answers for in the file, with what Sentinel takes when there is no such line: it drops those that say no more.
DEFAULTS = {
    "bind": "",
    "port": "26379",
    "tls-port": "0",
    "tls-cert-file": "",
    "tls-key-file": "",
    "tls-ca-cert-file": "",
    "tls-auth-clients": "yes",
    "tls-replication": "no",
    "requirepass": "",
    "dir": "",
    "logfile": "",
    "sentinel resolve-hostnames": "no",
    "sentinel announce-hostnames": "no",
    "sentinel announce-ip": "",
}
# Options of SENTINEL SET, as SENTINEL MASTERS calls them and as this module does.
SETTINGS = {
    "quorum": "quorum",
    "down-after-milliseconds": "down_after",
    "failover-timeout": "failover_timeout",
    "parallel-syncs": "parallel_syncs",
}
# How it logs in to the servers.
LOGINS = ("auth-user", "auth-pass")
# Seconds until a Sentinel that has forgotten the others has found them again: they call every two.
REDISCOVERY = 15


class Problem(Exception):
    """What stops the module, as a person is to read it."""


def last_good(path: str) -> str:
    """A copy of a file that Sentinel was last started with. It exists while the new one has not proven itself by a start."""
    return f"{path}.last-good"


def key_of(words: list[str]) -> str:
    name = words[0].lower()
    return f"sentinel {words[1].lower()}" if name == "sentinel" and len(words) > 1 else name


def settings_of(text: str) -> dict[str, str]:
    """What a file says of all that this module answers for."""
    found = dict(DEFAULTS)
    for line in text.splitlines():
        words = split(line.strip()) if not line.lstrip().startswith("#") else None
        if words and key_of(words) in DEFAULTS:
            found[key_of(words)] = " ".join(words[2 if words[0].lower() == "sentinel" else 1 :])
    return found


def is_seeded(text: str | None) -> bool:
    """Whether Sentinel has made the file its own."""
    return any(item.name == "sentinel" and item.args[:1] == ("myid",) for item in parse(text or ""))


def edited(text: str, content: str) -> str:
    """Sentinel's own file with our lines in it, and all of its own."""
    present, wanted = settings_of(text), settings_of(content)
    differing = {name for name in DEFAULTS if present[name] != wanted[name]}
    # The user that Sentinel has made of its password would win over the password.
    dropped = differing | ({"user"} if "requirepass" in differing else set())
    kept = [line for line in text.splitlines() if line.lstrip().startswith("#") or key_of(split(line.strip()) or [""]) not in dropped]
    added = [line for line in content.splitlines() if not line.startswith("#") and key_of(split(line) or [""]) in differing]
    return "\n".join([*added, *kept, ""]) if differing else text


def plan(primaries: list[dict], known: dict[str, dict[str, str]], text: str) -> list[list[str]]:
    """What to tell a Sentinel that watches `known` and remembers the passwords that are in its file."""
    remembered = {
        (item.args[1], item.args[0]): item.args[2]
        for item in parse(text)
        if item.name == "sentinel" and len(item.args) == 3 and item.args[0] in LOGINS
    }
    told: list[list[str]] = []
    for name in known.keys() - {primary["name"] for primary in primaries}:
        told.append(["REMOVE", name])
    for primary in primaries:
        name, present = primary["name"], known.get(primary["name"])
        nodes = [Node(**node) for node in primary["nodes"]]
        if present and find(nodes, present["ip"], int(present["port"])) is None:
            if not is_loopback(present["ip"]):
                raise Problem(
                    f"Sentinel has {present['ip']} port {present['port']} as the primary {name}, which is none of "
                    f"{', '.join(map(str, nodes))}. Nothing was changed. Add that host to the group redis, or correct redis_address."
                )
            # What a package comes with.
            told.append(["REMOVE", name])
            present = None
        if not present:
            node = next(node for node in nodes if node.name == primary["primary"])
            told.append(["MONITOR", name, node.host, str(node.port), str(primary["quorum"])])
        wanted = {option: str(primary[key]) for option, key in SETTINGS.items()}
        for option in LOGINS:
            before = remembered.get((name, option), "") if present else ""
            if primary[option.replace("-", "_")] != before:
                told.append(["SET", name, option, primary[option.replace("-", "_")]])
        told += [["SET", name, option, value] for option, value in wanted.items() if (present or {}).get(option, "") != value
                 and (present or option != "quorum")]
    return told


def watched_by(text: str) -> dict[str, dict[str, str]]:
    """What a Sentinel that starts on this file is going to watch."""
    found: dict[str, dict[str, str]] = {}
    for item in parse(text):
        if item.name == "sentinel" and item.args[:1] == ("monitor",) and len(item.args) == 5:
            # Defaults (sentinel.c), of which it leaves out the lines.
            defaults = {"down-after-milliseconds": "30000", "failover-timeout": "180000", "parallel-syncs": "1"}
            found[item.args[1]] = {**defaults, "ip": item.args[2], "port": item.args[3], "quorum": item.args[4]}
        elif item.name == "sentinel" and len(item.args) == 3 and item.args[1] in found:
            found[item.args[1]][item.args[0]] = item.args[2]
    return found


def watching(text: str, primaries: list[dict]) -> str:
    """A file with whom to watch and how to log in there.

    Told to a Sentinel before 7.0, a password comes too late where it has called the server by then: it never logs in any more, and holds
    the server for down (https://github.com/redis/redis/pull/10400). And before 6.2.7 it logs the password.
    """
    lines = text.splitlines()
    for word, name, *more in plan(primaries, watched_by(text), text):
        if word == "MONITOR":
            lines.append(" ".join(["sentinel monitor", name, *more]))
        elif word == "REMOVE":
            lines = [line for line in lines if not ((split(line) or [""])[0].lower() == "sentinel" and name in split(line)[2:3])]
        elif more[0] in LOGINS:
            lines = [line for line in lines if (split(line) or [])[:3] != ["sentinel", more[0], name]]
            lines += [f"sentinel {more[0]} {name} {quoted(more[1])}"] if more[1] else []
    return text if lines == text.splitlines() else "\n".join([*lines, ""])


def shown(command: list[str]) -> str:
    return " ".join([*command[:-1], MASK] if command[2:3] == ["auth-pass"] else command)


def pairs(words: object) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2]))


class Sentinel:
    """One run of the module."""

    def __init__(self, module: AnsibleModule, content: str) -> None:
        options = module.params
        self.module, self.content = module, content
        self.path, self.service, self.timeout = options["path"], options["service"], options["timeout"]
        self.primaries = options["primaries"]
        self.sentinels = [Node(**node) for node in options["sentinels"]]
        self.systemd = Systemd(module.run_command)
        self.files = named_files(module, options["files"])
        self.made: list[NamedFile] = []
        self.drop_in = DropIn(self.service, options["drop_in"], self.systemd, module.atomic_move)
        self.before = read(self.path)
        self.seeded = not is_seeded(self.before)
        self.after = self.before

    def run(self) -> dict:
        state = self._state()
        if state.load != "loaded" and not self.module.check_mode:
            raise Problem(f"there is no service {self.service} to run ({state.load}): name the one of the package in service.")
        drop_in = self.drop_in
        renewed = [file for file in self.files if file.differs]
        # A Sentinel that was started on the package's file.
        reasons = self._differing() if state.pid else []
        if state.pid:
            # With a copy of what it was before, a run was cut off before Sentinel had read the new one.
            reasons += [file.path for file in self.files if file.differs or os.path.exists(last_good(file.path))]
            reasons += [drop_in.path] if drop_in.is_outdated(state) else []
        told: list[list[str]] = []
        if state.pid and not (self.seeded and reasons):
            told, late = self._plan(state)
            reasons += late
        if reasons or not state.pid:
            self.after = self._prepared(self.before or "")
            told = plan(self.primaries, watched_by(self.after), self.after)
        to_enable = state.file_state not in ("enabled", "static", "alias") if self.module.params["enabled"] else state.file_state == "enabled"
        result = {
            "seeded": self.seeded,
            "started": not state.pid,
            "restarted": bool(reasons),
            "restart_reasons": reasons,
            "told": [shown(command) for command in told],
            "changed": bool(told or reasons or renewed or not state.pid or drop_in.differs or to_enable or self.before != self.after),
        }
        result["diff"] = self._diff(result["told"], drop_in, renewed)
        if self.module.check_mode:
            return result
        for file in renewed:
            self._install(file)
        if drop_in.differs:
            drop_in.install()
        if reasons or not state.pid:
            self._start(running=bool(state.pid))
        if to_enable:
            self.systemd.systemctl("enable" if self.module.params["enabled"] else "disable", [self.service])
        told = self._tell()
        result["told"] = [shown(command) for command in told]
        result["changed"] |= bool(told) | self._set_attributes()
        return result

    def _differing(self) -> list[str]:
        present, wanted = settings_of(self.before or ""), settings_of(self.content)
        return [name for name in DEFAULTS if present[name] != wanted[name]]

    def _plan(self, state: UnitState) -> tuple[list[list[str]], list[str]]:
        """What to tell the one that runs, and what of it would come too late there."""
        with self._connect(state) as client:
            told = self._complete_plan(client, self.before or "")
            is_old = int(client.version().partition(".")[0]) < 7
        return told, [f"sentinel {words[2]} {words[1]}" for words in told if is_old and words[2:3] and words[2] in LOGINS]

    def _prepared(self, text: str) -> str:
        """The file to start on, made of Sentinel's own."""
        return watching(self.content if self.seeded else edited(text, self.content), self.primaries)

    def _complete_plan(self, client: RedisClient, text: str) -> list[list[str]]:
        known = {entry["name"]: entry for entry in map(pairs, client.call("SENTINEL", "MASTERS"))}
        told = plan(self.primaries, known, text)
        for primary in self.primaries:
            # While a primary is down, its replicas are what a Sentinel must not forget, and whom it takes them from does not answer.
            is_well = known.get(primary["name"], {}).get("flags") == "master" and ["REMOVE", primary["name"]] not in told
            others = list(self._others(client, primary)) if is_well else []
            if any(node is None and self._is_gone(entry) for entry, node in others) and not any(map(self._is_missed, others)):
                told.append(["RESET", primary["name"]])
        return told

    @staticmethod
    def _is_missed(other: tuple[dict[str, str], Node | None]) -> bool:
        """A server that is down is in no other's list. Forgotten, an old primary would come back as a second one, and nobody would demote it."""
        entry, node = other
        return node is not None and "slave" in entry["flags"] and entry["flags"] != "slave"

    @staticmethod
    def _is_gone(entry: dict[str, str]) -> bool:
        """Who is still there would only be found again. Sentinel takes the port from one that another has the address of now."""
        return "s_down" in entry["flags"] or entry["port"] == "0"

    def _others(self, client: RedisClient, primary: dict) -> Iterator[tuple[dict[str, str], Node | None]]:
        """Whom it knows besides the primary, and who of the inventory that is."""
        nodes = [Node(**node) for node in primary["nodes"]]
        for word, own in (("SENTINELS", self.sentinels), ("SLAVES", nodes)):
            for entry in map(pairs, client.call("SENTINEL", word, primary["name"])):
                if entry["ip"]:
                    yield entry, find(own, entry["ip"], int(entry["port"]))

    def _tell(self) -> list[list[str]]:
        with self._connect(self._state()) as client:
            told = self._complete_plan(client, read(self.path) or "")
            for command in told:
                primary = next((each for each in self.primaries if each["name"] == command[1]), {})
                before = self._in_order(client, primary) if command[0] == "RESET" else set()
                try:
                    client.call("SENTINEL", *command)
                except RedisError as error:
                    raise Problem(f"Sentinel refused {shown(command)}: {error}.") from error
                if before:
                    self._await(client, primary, before)
        return told

    def _in_order(self, client: RedisClient, primary: dict) -> set[Node]:
        return {node for entry, node in self._others(client, primary) if node and entry["flags"] in ("sentinel", "slave")}

    def _await(self, client: RedisClient, primary: dict, before: set[Node]) -> None:
        """The next Sentinel is to forget only when this one could carry out a failover again."""
        deadline = time.monotonic() + REDISCOVERY
        while missing := before - self._in_order(client, primary):
            if time.monotonic() > deadline:
                raise Problem(
                    f"Sentinel was told to forget who left {primary['name']} (SENTINEL RESET), and has not found {', '.join(sorted(map(str, missing)))} "
                    f"again in {REDISCOVERY} seconds. Until it has, it can promote nobody: see SENTINEL REPLICAS, SENTINEL SENTINELS and its log."
                )
            time.sleep(0.5)

    def _start(self, running: bool) -> None:
        if running:
            self.systemd.systemctl("stop", [self.service])
        # Until it has ended, Sentinel may write.
        now = read(self.path)
        if self._prepared(now or "") != now:
            self._write(self._prepared(now or ""))
        begun = time.time()
        self.systemd.systemctl("daemon-reload")
        self._tell_systemd("reset-failed", "start")
        why = self._why_silent()
        if not why:
            self._accept()
            return
        said = self.systemd.journal(self.service, begun, lines=30)
        log = settings_of(self.content)["logfile"]
        if os.path.exists(log):
            said += "\n" + "\n".join((read(log) or "").splitlines()[-20:])
        raise Problem(f"{self.service} did not start: {why}; {server_words(said)}. {self._put_back(now, running)}")

    def _install(self, file: NamedFile) -> None:
        """Keeps what Sentinel was started with until it has started with the new one."""
        if file.found is None:
            self.made.append(file)
        elif not os.path.exists(last_good(file.path)):
            self.module.preserved_copy(file.path, last_good(file.path))
        file.install(self.module, self.module.params["owner"], self.module.params["group"])

    def _accept(self) -> None:
        for file in self.files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(last_good(file.path))
        self.drop_in.accept(self._state())

    def _put_back(self, text: str | None, running: bool) -> str:
        """The state before this run; says what that is."""
        for file in self.files:
            if os.path.exists(last_good(file.path)):
                self.module.atomic_move(last_good(file.path), file.path)
            elif file in self.made:
                os.unlink(file.path)
        self.drop_in.put_back()
        if text is not None:
            self._write(text)
        self._tell_systemd("stop", "reset-failed", *(["start"] if running else []))
        outcome = "What it had before is back"
        if not running:
            return f"{outcome}, and it is stopped, as it was."
        why = self._why_silent()
        if why:
            return f"{outcome}, and it does not start with that either: {why}."
        self._accept()
        return f"{outcome}, and it runs with that again."

    def _why_silent(self) -> str:
        deadline, why = time.monotonic() + self.timeout, "it does not answer"
        while time.monotonic() < deadline:
            state = self._state()
            if not state.is_running or state.restarts:
                return "it ended again"
            if state.pid and is_seeded(read(self.path)):
                with contextlib.suppress(Problem):
                    self._connect(state).close()
                    return ""
            time.sleep(0.1)
        return why

    def _connect(self, state: UnitState) -> RedisClient:
        texts = [text for text in (read(self.path), self.content) if text]
        try:
            client = connect([[*parse("port 26379"), *parse(text)] for text in texts], (), state.pid, self.path)
        except NotFound as error:
            raise Problem(f"{self.service} runs, and could not be asked: {error}. Stop it, or what else has the port, and run this again.") from error
        if client is None:
            raise Problem(f"{self.service} does not answer.")
        return client

    def _write(self, text: str) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
        with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
        self.module.atomic_move(temporary, self.path)
        self._set_attributes()

    def _set_attributes(self) -> bool:
        """Sentinel writes its file as 0644 less its umask. It is corrected where it is written here, or where others could read it."""
        if not os.path.exists(self.path):
            return False
        exposed = os.stat(self.path).st_mode & 0o004 and os.stat(os.path.dirname(self.path)).st_mode & 0o001
        owned = os.stat(self.path).st_uid != 0
        if owned and not exposed and is_seeded(read(self.path)):
            return False
        return self.module.set_fs_attributes_if_different(self.module.load_file_common_arguments(self.module.params, path=self.path), False)

    def _diff(self, told: list[str], drop_in: DropIn, renewed: list) -> list[dict[str, str]]:
        found = []
        if self.before != self.after:
            found.append((self.path, masked(self.before or ""), masked(self.after, elsewhere=self.before or "")))
        if told:
            found.append(("running Sentinel", "", "".join(f"SENTINEL {line}\n" for line in told)))
        if drop_in.differs:
            found.append((drop_in.path, drop_in.installed, drop_in.wanted))
        lines = [{"before_header": what, "after_header": what, "before": before, "after": after} for what, before, after in found]
        return lines + [file.difference() for file in renewed]

    def _tell_systemd(self, *verbs: str) -> None:
        """What comes of it is seen in the service, and said by its log."""
        for verb in verbs:
            with contextlib.suppress(SystemdError):
                self.systemd.systemctl(verb, [self.service])

    def _state(self) -> UnitState:
        return self.systemd.show([self.service])[self.service]


def stop(number: int, _frame: object) -> None:
    """Ends the run as an error would."""
    raise Problem(f"stopped by {signal.Signals(number).name} before it was done. Run it again: it takes up where it was.")


def main() -> None:
    """Run as a module."""
    primary = {
        "name": {"type": "str", "required": True},
        "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
        "primary": {"type": "str", "required": True},
        "quorum": {"type": "int", "required": True},
        "down_after": {"type": "int", "required": True},
        "failover_timeout": {"type": "int", "required": True},
        "parallel_syncs": {"type": "int", "default": 1},
        "auth_user": {"type": "str", "default": ""},
        "auth_pass": {"type": "str", "default": "", "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/redis/sentinel.conf"},
            "content": {"type": "str", "required": True, "no_log": True},
            "primaries": {"type": "list", "elements": "dict", "required": True, "options": primary},
            "sentinels": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "service": {"type": "str", "required": True},
            "enabled": {"type": "bool", "default": True},
            "drop_in": {"type": "str", "default": ""},
            "files": FILES,
            "timeout": {"type": "int", "default": 30},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, stop)
    content = module.params["content"]
    # As one big secret, the text would blot out what is to be shown. Its secrets are masked one by one.
    module.no_log_values.discard(content)
    module.params["content"] = masked(content)
    mask = Masker(secrets(content) | secrets(read(module.params["path"]) or "") | {each["auth_pass"] for each in module.params["primaries"]})
    try:
        result = Sentinel(module, content).run()
    except (Problem, FileProblem) as problem:
        module.fail_json(msg=mask(str(problem)))
    except (OSError, RedisError, SystemdError) as error:
        module.fail_json(msg=mask(f"{module.params['path']}: {error}"))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

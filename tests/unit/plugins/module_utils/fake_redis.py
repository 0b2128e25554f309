# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enough of a Redis 7.0 for the tests: reads a configuration, refuses what it does not know, answers on a unix socket.

Called as the real one: `fake_redis.py FILE` or `fake_redis.py -` with the configuration on standard input.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import socketserver
import sys
import threading

VERSION = "7.0.15"
SIZES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3, "k": 1000, "m": 1000**2, "g": 1000**3}
DEFAULTS = {
    "aclfile": "",
    "appenddirname": "appendonlydir",
    "appendfilename": "appendonly.aof",
    "appendonly": "no",
    "bind": "127.0.0.1",
    "cluster-enabled": "no",
    "daemonize": "no",
    "databases": "16",
    "dbfilename": "dump.rdb",
    "dir": "/",
    "logfile": "",
    "masterauth": "",
    "masteruser": "",
    "maxclients": "10000",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "pidfile": "",
    "port": "6379",
    "protected-mode": "yes",
    "replicaof": "",
    "requirepass": "",
    "save": "3600 1 300 100",
    "supervised": "no",
    "syslog-enabled": "no",
    "timeout": "0",
    "tls-auth-clients": "yes",
    "tls-ca-cert-file": "",
    "tls-cert-file": "",
    "tls-key-file": "",
    "tls-port": "0",
    "tls-replication": "no",
    "unixsocket": "",
}
IMMUTABLE = ("aclfile", "appendfilename", "cluster-enabled", "databases", "dir", "logfile", "pidfile", "supervised", "unixsocket")
NUMBERS = ("databases", "maxclients", "maxmemory", "port", "timeout")


class Refusal(Exception):
    """Why Redis would not."""


def sha(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


class State:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.values = dict(DEFAULTS)
        # Of each file of TLS, what it held when it was read.
        self.loaded: dict[str, str] = {}
        self.users: dict[str, list[str]] = {}
        saves: list[str] = []
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                name, *args = shlex.split("" if line.startswith("#") else line) or [""]
                if name == "save":
                    saves += args
                    self.values["save"] = " ".join(saves).strip()
                elif name == "user":
                    self.set_user(args[0], args[1:])
                elif name:
                    self.set(name.lower(), args)
            except (Refusal, ValueError) as error:
                why = "Unbalanced quotes in configuration line" if isinstance(error, ValueError) else error
                print(f"\n*** FATAL CONFIG FILE ERROR (Redis {VERSION}) ***\nReading the configuration file, at line {number}", flush=True)
                sys.exit(f">>> '{line}'\n{why}")
        if self.values["aclfile"]:
            self.read_users()
        self.users.setdefault("default", self.default_user())
        self.keys = self.load()

    def data_file(self, append_only: bool) -> str:
        names = ("appenddirname", "appendfilename") if append_only else ("dbfilename",)
        return os.path.join(self.values["dir"], *(self.values[name] for name in names)) + (".manifest" if append_only else "")

    def load(self) -> dict[str, int]:
        try:
            with open(self.data_file(self.values["appendonly"] == "yes"), encoding="utf-8") as stream:
                magic, content = stream.read(9), stream.read()
                return json.loads(content) if magic == "REDIS0010" else {"keys": 0, "expires": 0}
        except OSError:
            return {"keys": 0, "expires": 0}
        except ValueError:
            sys.exit("1:M 01 Jan 2026 00:00:00.000 # Wrong signature trying to load DB from file")

    def save(self, append_only: bool) -> None:
        path = self.data_file(append_only)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("REDIS0010" + json.dumps(self.keys))

    def read_users(self) -> None:
        # Without a line of its own, the default user is open, whatever requirepass says.
        self.users = {"default": ["on", "nopass", "~*", "&*", "+@all"]}
        with open(self.values["aclfile"], encoding="utf-8") as stream:
            lines = stream.read().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                if line:
                    self.set_user(line.split()[1], line.split()[2:])
            except Refusal as refusal:
                print("1:M 01 Jan 2026 00:00:00.000 # Configuration loaded")
                sys.exit(
                    "1:M 01 Jan 2026 00:00:00.000 # Aborting Redis startup because of ACL errors: "
                    f"{self.values['aclfile']}:{number}: {refusal}. WARNING: ACL errors detected, no change to the previously "
                    "active ACL rules was performed"
                )

    def default_user(self) -> list[str]:
        password = self.values["requirepass"]
        return ["on", f"#{sha(password)}" if password else "nopass", "~*", "&*", "+@all"]

    def set_user(self, name: str, rules: list[str]) -> None:
        if any(rule.startswith("+bogus") for rule in rules):
            raise Refusal(f"Error in user declaration '{name}': Syntax error")
        self.users[name] = [f"#{sha(rule[1:])}" if rule.startswith(">") else rule for rule in rules if rule != "reset"]

    def set(self, name: str, args: list[str]) -> None:
        if name not in DEFAULTS or not args:
            raise Refusal("Bad directive or wrong number of arguments")
        value = " ".join(args)
        if name == "replicaof" and value == "no one":
            value = ""
        if name in NUMBERS:
            unit = value.lower().lstrip("0123456789")
            digits = value[: len(value) - len(unit)]
            if not digits or (unit and unit not in SIZES):
                raise Refusal("argument must be a memory value")
            value = str(int(digits) * SIZES.get(unit, 1))
        if name.startswith("tls-") and name.endswith("-file") and value:
            self.load_file(name, value)
        self.values[name] = value

    def load_file(self, name: str, path: str) -> None:
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
        except OSError as error:
            raise Refusal(f"Failed to load certificate: {path}: {error.strerror}") from error
        if text.startswith("refuse this"):
            raise Refusal("ERR CONFIG SET failed - Unable to update TLS configuration. Check server logs.")
        self.loaded[name] = text

    def allows(self, user: str, password: str) -> bool:
        rules = self.users.get(user, [])
        return "on" in rules and ("nopass" in rules or f"#{sha(password)}" in rules)


class Connection(socketserver.StreamRequestHandler):
    user: str | None = None

    def handle(self) -> None:
        state = self.server.state
        if "nopass" in state.users["default"]:
            self.user = "default"
        while True:
            head = self.rfile.readline()
            if not head:
                return
            words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2].decode() for _index in range(int(head[1:]))]
            try:
                reply = self.answer(state, words[0].upper(), words[1:])
            except Refusal as refusal:
                reply = f"-{refusal}\r\n"
            self.wfile.write(reply.encode())

    def answer(self, state: State, command: str, words: list[str]) -> str:
        if command == "AUTH":
            user, password = words if len(words) == 2 else ["default", words[0]]
            if not state.allows(user, password):
                raise Refusal("WRONGPASS invalid username-password pair or user is disabled.")
            self.user = user
            return "+OK\r\n"
        if self.user is None:
            raise Refusal("NOAUTH Authentication required.")
        if command == "INFO":
            facts = {"redis_version": VERSION, "process_id": os.getpid(), "config_file": state.path, "loading": 0}
            facts |= {"rdb_bgsave_in_progress": 0, "rdb_last_bgsave_status": "ok"}
            facts |= {"aof_rewrite_in_progress": 0, "aof_rewrite_scheduled": 0, "aof_enabled": 1, "aof_last_bgrewrite_status": "ok"}
            if words == ["keyspace"]:
                facts = {"db0": ",".join(f"{name}={number}" for name, number in state.keys.items())} if state.keys["keys"] else {}
            return bulk("".join(f"{name}:{value}\r\n" for name, value in facts.items()))
        if command == "BGSAVE":
            state.save(append_only=False)
            return "+Background saving started\r\n"
        if command == "SHUTDOWN":
            os._exit(0)
        if command == "ACL":
            return self.acl(state, words)
        if words[0] == "GET" and words[1].startswith("loaded "):
            name = words[1].partition(" ")[2]
            return array([words[1], state.loaded.get(name, "")])
        if words[0] == "GET":
            names = [name for name in state.values if words[1] in ("*", name) or (words[1] == "*port" and name.endswith("port"))]
            return array([word for name in names for word in (name, state.values[name])])
        for name, value in zip(words[1::2], words[2::2]):
            if name in IMMUTABLE:
                raise Refusal(f"ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config")
            state.set(name, [value])
            if name == "appendonly" and value == "yes":
                state.save(append_only=True)
            if name == "requirepass":
                state.users["default"] = state.default_user()
        return "+OK\r\n"

    def acl(self, state: State, words: list[str]) -> str:
        if words[0] == "WHOAMI":
            return bulk(self.user)
        if words[0] == "SETUSER":
            state.set_user(words[1], words[2:])
            return "+OK\r\n"
        if words[0] == "DELUSER":
            return f":{int(state.users.pop(words[1], None) is not None)}\r\n"
        return array([f"user {name} {' '.join(rules)}" for name, rules in state.users.items()])


def bulk(text: str) -> str:
    return f"${len(text.encode())}\r\n{text}\r\n"


def array(words: list[str]) -> str:
    return f"*{len(words)}\r\n" + "".join(map(bulk, words))


def main() -> None:
    path = sys.argv[1]
    text = sys.stdin.read() if path == "-" else open(path, encoding="utf-8").read()  # pylint: disable=consider-using-with
    state = State("" if path == "-" else path, text)
    print("1:M 01 Jan 2026 00:00:00.000 # Configuration loaded", flush=True)
    try:
        server = socketserver.ThreadingUnixStreamServer(state.values["unixsocket"], Connection)
    except OSError as error:
        print(f"1:M 01 Jan 2026 00:00:00.000 # Failed opening Unix socket: bind: {error.strerror}", flush=True)
        sys.exit(1)
    server.daemon_threads = True
    server.state = state
    threading.excepthook = lambda *_unused: None
    server.serve_forever()


if __name__ == "__main__":
    main()

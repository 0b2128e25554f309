# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a private Redis on a candidate for redis.conf, to prove that it is accepted and to ask what it means.

Redis has no test of its configuration, and how it reads sizes, lists, quotes and defaults differs between versions. So the
binary itself is the judge: what it answers to CONFIG GET and ACL LIST is the candidate's meaning. That takes 10 to 30 ms.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import secrets as random
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass

from ._masking import Masker
from ._redis_client import Endpoint, RedisClient, RedisError
from ._redis_directives import Directive, last, masked, parse, read, secrets, split

_START_LIMIT = 20.0
_PROBE_USER = "redis_config_probe"

# What the private process must not do: listen, write, follow another server, take 10000 descriptors. These lines are put
# after the candidate's, because the last line of a name counts. Their meaning is read from the candidate's text instead;
# the second value is what Redis takes when the candidate is silent.
_NEUTRAL = {
    "port": ("0", "6379"),
    "pidfile": ('""', ""),
    "logfile": ('""', ""),
    "syslog-enabled": ("no", "no"),
    "appendonly": ("no", "no"),
    "cluster-enabled": ("no", "no"),
    "replicaof": ("no one", ""),
    "maxclients": ("100", "10000"),
}
_NEUTRAL_DEFAULTS = {name: default for name, (_line, default) in _NEUTRAL.items()} | {"unixsocket": "", "aclfile": ""}
# How the process is run, which the unit's command line decides (Debian's has `--supervised systemd --daemonize no`) and
# CONFIG REWRITE then puts into the file.
_UNIT_DECIDES = ("daemonize", "supervised")
_NEUTRAL_TLS_DEFAULTS = {"tls-port": "0", "tls-replication": "no"}

# Commands that are needed here under their own names.
_NEEDED = ("acl", "auth", "config", "info")
# Where the data lies. Redis before 7.0 would change it while it runs and find nothing there at its next start.
DATA_PLACES = ("dir", "dbfilename", "appendfilename", "appenddirname")
_NAMES_A_FILE = re.compile(r"^(tls-.*-(file|dir)|aclfile|include)$")

_FATAL = re.compile(r"\*\*\* FATAL CONFIG FILE ERROR.*\n(?:Reading the configuration file, at line (\d+)\n>>> '(.*)'\n)?(.*)")
_LOG_LINE = re.compile(r"^\d+:[A-Z] .*? # (?!WARNING|Server initialized)(.*?)\.?$", re.MULTILINE)
_UNRESOLVED = re.compile(r"# >>> '([^ ']+).*")
# Redis's list of what is wrong with an ACL file ends with these words, which are about a running server.
_ACL_CONSEQUENCE = re.compile(r" *WARNING: ACL errors detected, no change to the previously active ACL rules was performed")


class Refused(Exception):
    """Redis does not start on the candidate. The text is its own, without secrets."""


@dataclass
class Meaning:
    """What a configuration comes to. Two files with one meaning need no change, whatever CONFIG REWRITE did to one of them."""

    values: dict[str, str]
    users: dict[str, str]
    # As it is written; see the function.
    unasked: list[tuple[str, tuple[str, ...]]]


def identity(user: str) -> dict[str, object]:
    """What makes a child process run as that user; nothing when this process is not root and could not."""
    account = pwd.getpwnam(user)
    if os.geteuid() != 0 or account.pw_uid == 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid)}


def server_words(output: str) -> str:
    """Why Redis gave up, in its own words, from what it printed and logged."""
    fatal = list(_FATAL.finditer(output))
    if fatal:
        number, line, reason = fatal[-1].groups()
        # Of an unknown name nobody can tell whether a secret follows it.
        shown = line.split()[0] if number and reason.startswith("Bad directive") else masked(line or "")
        return f'at line {number}, "{shown}": {reason}' if number else reason
    # The last start is the one that counts, and what was said before the file had been read is noise.
    output = output.rpartition("Configuration loaded")[2]
    unknown = _UNRESOLVED.findall(output)
    if unknown:
        return f"{', '.join(unknown)}: Unresolved Configuration(s) Detected"
    logged = _LOG_LINE.findall(output)
    return "; ".join(logged[-4:] or [line.strip() for line in output.splitlines() if line.strip()][-3:])


def stated(directives: list[Directive], name: str, default: str) -> str:
    """A plain value as the text has it, spelt the way CONFIG GET would."""
    value = " ".join(last(directives, name) or [default])
    if name == "dir":
        return os.path.realpath(value) if value else ""
    if value.isdigit():
        return str(int(value))
    return value.lower() if value.lower() in ("yes", "no") else value


def unasked(directives: list[Directive], values: dict[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    """What stands in the text and CONFIG GET does not show: rename-command, loadmodule and the like."""
    return sorted((item.key, item.args) for item in directives if item.name not in (*values, *_UNIT_DECIDES, "user"))


class ThrowAway:
    """A Redis that runs on a candidate within a `with` block, reachable by nobody else, without data or side effects."""

    def __init__(
        self,
        server: str,
        user: str,
        text: str,
        lenient: bool = False,
        users: str | None = None,
        files: dict[str, str] | None = None,
    ) -> None:
        """With `lenient`, files that the candidate names may be missing: in check mode nobody has put them there yet.

        `users` is what the ACL file is to hold; without it, the one that is there is read. `files` are those of TLS that are to be
        installed with the candidate, path to content: they are proven in private copies.
        """
        self._server, self._user, self._text, self._lenient, self._users = server, user, text, lenient, users
        self._files = files or {}
        # Of each private copy, the path that the candidate has for it.
        self._copies: dict[str, str] = {}
        self.directives = parse(text)
        self._skip: set[str] = set()
        self._place = ""
        self._process: subprocess.Popen | None = None
        self.client: RedisClient | None = None

    def __enter__(self) -> ThrowAway:
        try:
            try:
                self._start()
            except _Unresolved as unresolved:
                # Redis 8 lets modules own names without a dot. Modules are not loaded here, so their names are nobody's.
                self._skip = unresolved.names
                self.__exit__()
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_unused: object) -> None:
        if self.client:
            self.client.close()
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        if self._place:
            shutil.rmtree(self._place)
        self.client, self._process, self._place = None, None, ""

    @property
    def version(self) -> str:
        """The binary's version."""
        return self.client.version()

    def meaning(self) -> Meaning:
        """What the candidate comes to."""
        values = {name: self._copies.get(value, value) for name, value in self.client.config().items()}
        for name in _NEUTRAL_TLS_DEFAULTS.keys() & values.keys():
            values[name] = stated(self.directives, name, _NEUTRAL_TLS_DEFAULTS[name])
        for name, default in _NEUTRAL_DEFAULTS.items():
            values[name] = stated(self.directives, name, default)
        values["dir"] = stated(self.directives, "dir", "")
        for name in ("slaveof", *_UNIT_DECIDES):
            values.pop(name, None)
        users = self.client.users()
        del users[_PROBE_USER]
        return Meaning(values, users, unasked(self.directives, values))

    def refusal(self, name: str) -> str:
        """Why this Redis would not take that parameter at run time; empty when it would."""
        if name in DATA_PLACES:
            return "it says where the data lies, which Redis must hear when it starts"
        try:
            self.client.call("CONFIG", "SET", name, self.client.config(name)[name])
        except RedisError as error:
            return str(error)
        return ""

    def _start(self) -> None:
        who = identity(self._user)
        self._place, self._copies = tempfile.mkdtemp(prefix="redis-config-"), {}
        password = random.token_hex(32)
        script = self._script(password)
        if who:
            for path in (self._place, *(entry.path for entry in os.scandir(self._place))):
                os.chown(path, who["user"], who["group"])
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            # From its standard input: no file with a password in it exists at any time.
            [self._server, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            cwd="/",
            env={"PATH": os.defpath},
            umask=0o077,
            **who,
        )
        try:
            with self._process.stdin as stdin:
                stdin.write(script)
        except BrokenPipeError:
            # It gave up early, and says why on its output.
            pass
        self._connect(password)

    def _connect(self, password: str) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while time.monotonic() < deadline:
            try:
                self.client = RedisClient(Endpoint(unixsocket=f"{self._place}/socket"))
                self.client.call("AUTH", _PROBE_USER, password)
                return
            except OSError:
                # Not there yet; or, as it reads its ACL file when it already listens, gone again.
                if self.client:
                    self.client.close()
                time.sleep(0.002)
            if self._process.poll() is not None:
                break
        self._process.kill()
        output = self._process.stdout.read()
        names = set(_UNRESOLVED.findall(output))
        if names and not self._skip and last(self.directives, "loadmodule"):
            raise _Unresolved(names)
        words = _ACL_CONSEQUENCE.sub("", server_words(self._with_names(output)))
        raise Refused(Masker(secrets(self._text))(words) or f"it did not answer within {_START_LIMIT:.0f} seconds")

    def _script(self, password: str) -> str:
        with_modules = last(self.directives, "loadmodule") is not None
        skipped_a_file = False
        lines = []
        for line in self._text.split("\n"):
            words = split(line.strip()) or [""]
            name, first = words[0].lower(), (words[1:] or [""])[0]
            missing = self._lenient and _NAMES_A_FILE.match(name) and first and first not in self._files and not glob.glob(first)
            skipped_a_file = skipped_a_file or bool(missing)
            harmful = (
                # Redis 6 opens the log while it reads the line, and so creates it with the wrong mode.
                name in ("dir", "logfile", "loadmodule")
                or name in self._skip
                or (with_modules and "." in name)
                or (name == "rename-command" and first.lower() in _NEEDED)
            )
            if first in self._files and name.startswith("tls-"):
                line = f'{name} "{self._copy(first)}"'
            lines.append("" if missing or harmful else line)
        lines += [f"{name} {value}" for name, (value, _default) in _NEUTRAL.items()]
        lines += [f"{name} no" for name in _UNIT_DECIDES]
        lines += [f'dir "{self._place}"', f'unixsocket "{self._place}/socket"']
        if stated(self.directives, "tls-port", "0") != "0":
            # Certificates are read when something uses TLS, and replication does so without listening.
            lines += ["tls-port 0", "tls-replication " + ("no" if skipped_a_file else "yes")]
        return "\n".join(lines + self._probe_user(password)) + "\n"

    def _probe_user(self, password: str) -> list[str]:
        """A user for ourselves, whatever the candidate makes of the default one."""
        rules = f"user {_PROBE_USER} on >{password} ~* +@all"
        aclfile = stated(self.directives, "aclfile", "")
        if not aclfile or (self._users is None and self._lenient and not os.path.exists(aclfile)):
            return [rules]
        if self._users is None:
            try:
                self._users = read(aclfile)
            except OSError as error:
                raise Refused(f"aclfile {aclfile}: {error.strerror}") from error
        if self._users is None:
            raise Refused(f"aclfile {aclfile}: there is no such file; create it before redis.conf names it")
        copy = f"{self._place}/users.acl"
        with open(copy, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(f"{self._users}\n{rules}\n")
        return [f'aclfile "{copy}"']

    def _with_names(self, output: str) -> str:
        """What the server said of lines of its copy of the ACL file, as being about the file and about users."""
        lines = (self._users or "").split("\n")

        def name(match: re.Match) -> str:
            words = lines[int(match[1]) - 1].split() if 0 < int(match[1]) <= len(lines) else []
            return f"{aclfile}, user {words[1]}:" if len(words) > 1 else f"{aclfile}, line {match[1]}:"

        aclfile = stated(self.directives, "aclfile", "")
        for private, path in self._copies.items():
            output = output.replace(private, path)
        copy = re.escape(f"{self._place}/users.acl")
        return re.sub(copy, aclfile, re.sub(rf"{copy}:(\d+):", name, output))

    def _copy(self, path: str) -> str:
        copy = f"{self._place}/file{len(self._copies)}"
        with open(copy, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(self._files[path])
        self._copies[copy] = path
        return copy


class _Unresolved(Exception):
    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what a candidate for redis.conf changes: in the file, in the running server, and at the next start only."""

from __future__ import annotations

import os
import re
import secrets as random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ._redis_directives import SIGNATURE, is_secret, parse, quoted, split
from ._redis_throwaway import Meaning, unasked

# Where a server is reached.
LISTENING = {"bind", "port", "tls-port", "unixsocket"}
# While one of these waits for a restart, nothing may be opened that it is going to close.
_GUARDS = {"bind", "port", "protected-mode", "requirepass", "aclfile"}
# Ranks of steps: those that let somebody in who was kept out, and those after which nothing else may be possible.
_OPENING, LAST = 5, 9
# A child that was just forked to write the append-only file still holds the listening sockets, so those change before it.
_RANKS = {"requirepass": 0, "protected-mode": 0, "maxmemory": 3, "port": 3, "tls-port": 3, "bind": 3, "appendonly": 4}

UserChanges = dict[str, "tuple[str | None, str | None]"]


@dataclass
class Step:
    """One command to the running server, and the one that takes it back."""

    rank: int
    names: list[str]
    command: list[str]
    undo: list[str]


@dataclass
class Plan:
    """What lies between the running server and the candidate."""

    steps: list[Step] = field(default_factory=list)
    # Why each of these can only change with a start.
    restart: dict[str, str] = field(default_factory=dict)
    # What the steps change, as lines of a file.
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def applied(self) -> list[str]:
        """What is set at run time."""
        return [name for step in self.steps for name in step.names]


@dataclass
class Texts:
    """The candidate, the file on disk, and the file that the server last started with if that is an older one."""

    candidate: str
    installed: str | None = None
    last_good: str | None = None
    # What the ACL file that the candidate names is to hold; None when somebody else looks after it.
    users: str | None = None
    # Whether the candidate's replicaof counts. None: as long as the file does not say who the primary is.
    set_role: bool | None = None

    def target(self) -> str:
        """What the file is to become: the candidate, with what the server or its operator added and it does not speak of."""
        lines = self.candidate.rstrip().split("\n")
        candidate, present = parse(self.candidate), parse(self.installed or "")
        roles = [item for item in present if item.name == "replicaof"]
        kept = []
        if self.role_is_set() and [item.args for item in candidate if item.name == "replicaof"] != [item.args for item in roles]:
            lines = [line for line in lines if (split(line) or [""])[0].lower() not in ("replicaof", "slaveof")]
            kept += roles
        # The default user is what requirepass makes of it, or its absence.
        spoken_for = {item.key for item in candidate} | {"user default", "replicaof"}
        # CONFIG REWRITE sorts users and snapshot times, so that one of ours may come to stand among the additions.
        sorted_ours = {item.name for item in candidate + present if item.name in ("user", "save") and not item.added}
        # An ACL file bears no users beside it.
        sorted_ours |= {"user" for item in candidate if item.name == "aclfile"}
        kept += [item for item in present if item.added and item.key not in spoken_for and item.name not in sorted_ours]
        # The signature stays, because it is what tells that the server once decided on its role.
        signed = kept or SIGNATURE in (self.installed or "")
        return "\n".join([*lines, *([SIGNATURE, *(item.line for item in kept)] if signed else []), ""])

    def role_is_set(self) -> bool:
        """Whether the file already says who the primary is. CONFIG REWRITE drops the line of a replica that was promoted."""
        if self.set_role is not None:
            return not self.set_role
        installed = self.installed or ""
        return SIGNATURE in installed or any(item.name == "replicaof" for item in parse(installed))

    def ours(self) -> set[str]:
        """The parameters to set: those that the candidate names, and those that an earlier one named and it does not."""
        before = [item for text in (self.installed, self.last_good) for item in parse(text or "") if not item.added]
        # Silence about the password means none.
        return {"requirepass", *(item.name for item in parse(self.candidate) + before)}

    def read_at_start(self, wanted: Meaning) -> set[str]:
        """What CONFIG does not know, and has changed since the file that the server started with."""
        before = unasked(parse(self.last_good or self.installed or ""), wanted.values)
        # What an included file says is compared by itself.
        return {key.split(" ")[0] for key, _args in set(before) ^ set(wanted.unasked)} - {"include"}

    def user_changes(self, wanted: Meaning, users: dict[str, str]) -> UserChanges:
        """Old and new rules of the users that differ. Whoever names one user besides the default one names them all."""
        if wanted.values["aclfile"] and self.users is None:
            return {}
        named = self.users is not None or "user" in self.ours()
        names = {"default", *(wanted.users.keys() | users.keys() if named else ())}
        pairs = {name: (users.get(name), wanted.users.get(name)) for name in names}
        return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def setting_steps(changes: dict[str, tuple[str, str]], together: bool = True) -> list[Step]:
    """Parameters to set, from (old, new)."""
    # A certificate does not go with the key of another, so all of TLS changes at once.
    tls = sorted(name for name in changes if name.startswith("tls-")) if together else []
    groups = [[name] for name in sorted(changes) if name not in tls] + ([tls] if tls else [])
    steps = []
    for group in groups:
        old = [word for name in group for word in (name, changes[name][0])]
        new = [word for name in group for word in (name, changes[name][1])]
        opens = new in (["requirepass", ""], ["protected-mode", "no"])
        rank = _OPENING if opens else _RANKS.get(group[0], 2)
        steps.append(Step(rank, group, ["CONFIG", "SET", *new], ["CONFIG", "SET", *old]))
    return steps


def user_steps(changes: UserChanges, own: str = "") -> list[Step]:
    """Users to set or delete, from (old, new) rules. `own` is who does it, and must not lose the right to halfway."""

    def command(name: str, rules: str | None) -> list[str]:
        return ["ACL", "DELUSER", name] if rules is None else ["ACL", "SETUSER", name, "reset", *rules.split(" ")]

    steps = []
    for name, (old, new) in sorted(changes.items()):
        rules = (new or "").split(" ")
        rank = _OPENING if "nopass" in rules else 1
        if name == own and not {"on", "+@all", "~*"} <= set(rules):
            # Closed at once for all who are not logged in yet; its rights go when nothing else is left to do.
            locked = ["ACL", "SETUSER", name, "resetpass", f">{random.token_hex(32)}"]
            steps.append(Step(0, [], locked, command(name, old)))
            rank = LAST
        steps.append(Step(rank, [f"user {name}"], command(name, new), command(name, old)))
    return steps


def make_plan(
    texts: Texts,
    wanted: Meaning,
    running: dict[str, str],
    users: dict[str, str] | None,
    own: str,
    refusal: Callable[[str], str],
    renewed: Collection[str] = (),
) -> Plan:
    """Compares the running server with the candidate. `users` is None where they cannot be compared, `refusal` says why a
    parameter cannot be set at run time, and of the parameters in `renewed` the file that they name has another content."""
    plan, changes = Plan(), {}
    # Users come from the ACL file or from redis.conf, and only a start changes which: then all that lets anybody in waits for it.
    users_move = wanted.values["aclfile"] != running.get("aclfile", "")
    for name in sorted(texts.ours()):
        new, old = wanted.values.get(name), running.get(name)
        if name == "requirepass" and (users_move or wanted.values["aclfile"]):
            # Beside an ACL file it means nothing, and setting it to nothing would open the default user.
            continue
        # The role belongs to whoever runs a failover. Without `dir`, data lies wherever the server was started.
        if new in (None, old) or name == "replicaof" or (name == "dir" and not new):
            continue
        reason = refusal(name) if old is not None else "the running server is older and does not know it"
        if reason:
            plan.restart[name] = reason
        else:
            changes[name] = (old, new)
    plan.restart.update(dict.fromkeys(sorted(texts.read_at_start(wanted)), "it is read when Redis starts, and at no other time"))
    tls = {name for name in changes if name.startswith("tls-")}
    # Until a server uses TLS, it reads none of the files.
    tls_in_use = running.get("tls-port", "0") != "0" or "yes" in (running.get("tls-replication"), running.get("tls-cluster"))
    # The first version whose CONFIG SET takes several parameters.
    together = "appenddirname" in running
    if len(tls) > 1 and tls_in_use and not together:
        reason = "Redis before 7.0 takes one parameter at a time, and those of TLS only fit together"
        plan.restart.update(dict.fromkeys(sorted(tls), reason))
    if LISTENING & plan.restart.keys():
        reason = "where the server listens changes all at once, so that it is never out of reach"
        plan.restart.update(dict.fromkeys(sorted(LISTENING & changes.keys() - plan.restart.keys()), reason))
    changes = {name: change for name, change in changes.items() if name not in plan.restart}
    user_changes = texts.user_changes(wanted, users) if users is not None and not users_move else {}
    if "requirepass" in changes:
        # It sets the default user's password, so that one is looked at again afterwards.
        user_changes.pop("default", None)
    steps = setting_steps(changes, together) + user_steps(user_changes, own)
    # Whichever of its parameters is set, Redis reads all files of TLS anew, also from the same path (updateTlsCfg() in config.c of
    # 6.x, VOLATILE_CONFIG since 7.0; tried on 6.0, 6.2, 7.0 and 8.0). What does not fit together it refuses, and keeps what it had.
    read_anew = sorted(name for name in renewed if name.startswith("tls-")) if tls_in_use and not tls else []
    if read_anew:
        again = ["CONFIG", "SET", read_anew[0], wanted.values[read_anew[0]]]
        steps.append(Step(2, read_anew, again, again))
    primary = wanted.values["replicaof"]
    if primary and not texts.role_is_set() and not running.get("replicaof", running.get("slaveof")):
        steps.append(Step(6, ["replicaof"], ["REPLICAOF", *primary.split(" ")], ["REPLICAOF", "NO", "ONE"]))
    closing = ", ".join(sorted(_GUARDS & plan.restart.keys()))
    for step in sorted(steps, key=lambda step: step.rank):
        if step.rank == _OPENING and closing:
            plan.restart.update(dict.fromkeys(step.names, f"it opens the server, and waits until {closing} closes it"))
        else:
            plan.steps.append(step)
    shown = {**changes, **{f"user {name}": change for name, change in user_changes.items()}, "replicaof": ("", primary)}
    shown.update({name: (wanted.values[name], f"{wanted.values[name]} (renewed)") for name in read_anew})
    plan.before = [_line(name, shown[name][0]) for name in plan.applied]
    plan.after = [_line(name, shown[name][1]) for name in plan.applied]
    return plan


def has_data(values: dict[str, str]) -> bool:
    """Whether a server with these values finds something to load when it starts."""
    snapshot = os.path.join(values["dir"], values["dbfilename"])
    return bool(values["dir"]) and (os.path.exists(snapshot) or has_append_only_file(values))


def has_append_only_file(values: dict[str, str]) -> bool:
    """Whether there is an append-only file: one of 6.x, or the manifest of those of 7.0 and later."""
    file = os.path.join(values["dir"], values["appendfilename"])
    manifest = os.path.join(values["dir"], values.get("appenddirname", ""), f"{values['appendfilename']}.manifest")
    return os.path.exists(file) or os.path.exists(manifest)


def count_keys(keyspace: dict[str, str]) -> int:
    """How many keys INFO keyspace tells of."""
    return sum(int(number) for value in keyspace.values() for number in re.findall(r"^keys=(\d+)", value))


def _line(name: str, value: str | None) -> str:
    """A parameter as a line that the masking of files can read."""
    return f"{name} {value}" if value and not is_secret(name) else f"{name} {quoted(value or '')}"

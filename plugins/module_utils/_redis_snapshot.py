# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots (RDB files): whether one is sound, making what a server starts with of it, and where the control node keeps them."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from ._redis_client import Endpoint, RedisClient, RedisError
from ._redis_throwaway import identity, server_words

_COUNT = re.compile(r"^\[info\] (\d+) (keys read|expires)$", re.MULTILINE)
_WRITER = re.compile(r"'?(?:redis|valkey)-ver'? = '([^']*)'")
_OBJECTION = re.compile(r"^--- RDB ERROR DETECTED ---\n(?:\[offset \d+\] )?(.*)$", re.MULTILINE)
# The first words of the file: Redis and Valkey up to 8, and Valkey from 9.0 on.
MAGIC = (b"REDIS", b"VALKEY")
# What of a configuration decides how data are read and written. Versions before 7.0 have no appenddirname.
_DATA_DIRECTIVES = ("dbfilename", "appendfilename", "appenddirname", "databases", "aof-use-rdb-preamble", "rdbcompression")


class BadSnapshot(Exception):
    """The file is no snapshot that this server can load. The text says why, in the words of its own check."""


@dataclass(frozen=True)
class Snapshot:
    """What a sound snapshot holds."""

    keys: int
    # Keys with a time to live may be gone before anybody looks; the others may not.
    lasting: int
    server_version: str


def check_program(server: str) -> str:
    """The program that checks the files of a server: the packages install redis-check-rdb beside redis-server."""
    directory, name = os.path.split(server)
    return os.path.join(directory, name.replace("server", "check-rdb"))


def examine(server: str, path: str) -> Snapshot:
    """Has the server's own program read the whole file, the checksum at its end included."""
    program = check_program(server)
    try:
        done = subprocess.run(
            [program, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", cwd="/", check=False
        )
    except OSError as error:
        raise BadSnapshot(f"{program} does not run: {error.strerror}") from error
    if done.returncode:
        said = _OBJECTION.findall(done.stdout) or done.stdout.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise BadSnapshot(said[0])
    counts = {what: int(number) for number, what in _COUNT.findall(done.stdout)}
    keys = counts.get("keys read", 0)
    return Snapshot(keys, keys - counts.get("expires", 0), next(iter(_WRITER.findall(done.stdout)), ""))


def lasting_keys(keyspace: dict[str, str]) -> int:
    """How many keys without a time to live INFO keyspace tells of."""
    counts = (dict(pair.split("=") for pair in value.split(",")) for value in keyspace.values())
    return sum(int(count["keys"]) - int(count["expires"]) for count in counts)


def give(path: str, user: str) -> None:
    """Makes a file the system user's."""
    who = identity(user)
    if who:
        os.chown(path, who["user"], who["group"])


def load(program: str, user: str, values: dict[str, str], place: str, snapshot: Snapshot, timeout: float) -> None:
    """Has a private process load the snapshot that lies in `place`, and write the append-only file there if `values` want one.

    With `appendonly yes` a server loads that and ignores a snapshot. The process is reachable by nobody else, so what it
    holds is what the snapshot gave.
    """
    # The socket lies elsewhere: its path has to be short.
    with tempfile.TemporaryDirectory(prefix="redis-restore-") as private:
        give(private, user)
        script = [f'{name} "{values[name]}"' for name in _DATA_DIRECTIVES if name in values]
        script += ["port 0", f"unixsocket {private}/socket", f'dir "{place}"', "appendonly no", 'save ""', "daemonize no"]
        with subprocess.Popen(
            [program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env={"PATH": os.defpath},
            umask=0o077,
            **identity(user),
        ) as process:
            try:
                process.stdin.write("\n".join(script))
                process.stdin.close()
                with _connect(process, f"{private}/socket", timeout) as client:
                    _wait(lambda: client.info("persistence")["loading"] == "0", timeout, "load it")
                    found = lasting_keys(client.info("keyspace"))
                    if found != snapshot.lasting:
                        raise BadSnapshot(f"it holds {snapshot.lasting} keys without a time to live, and {found} of them were loaded")
                    if values["appendonly"] == "yes":
                        client.call("CONFIG", "SET", "appendonly", "yes")
                        _wait(lambda: _written(client.info("persistence")), timeout, "write the append-only file")
                    _shut_down(client)
                process.wait(timeout)
            except (OSError, RedisError, subprocess.TimeoutExpired) as error:
                process.kill()
                raise BadSnapshot(server_words(process.stdout.read()) or str(error)) from error
            except BaseException:
                process.kill()
                raise


def _connect(process: subprocess.Popen, socket: str, timeout: float) -> RedisClient:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return RedisClient(Endpoint(unixsocket=socket))
        except OSError:
            time.sleep(0.01)
    raise ConnectionError("the private process did not answer")


def _wait(condition: Callable[[], bool], timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise BadSnapshot(f"after {timeout} seconds it had not managed to {what}; give it more with timeout")
        time.sleep(0.1)


def _written(persistence: dict[str, str]) -> bool:
    """Whether the append-only file is complete."""
    if persistence["aof_rewrite_in_progress"] != "0" or persistence["aof_rewrite_scheduled"] != "0":
        return False
    if persistence["aof_last_bgrewrite_status"] != "ok":
        raise BadSnapshot("the append-only file could not be written, often for want of room on the disk")
    return True


def _shut_down(client: RedisClient) -> None:
    try:
        client.call("SHUTDOWN", "NOSAVE")
    except OSError:
        # To hang up is its answer.
        pass


def file_name(host: str, stamp: str) -> str:
    """The name of a host's snapshot on the control node. Names of hosts may hold what names of files cannot."""
    return f"{host.replace('/', '_')}_{stamp}.rdb"


def snapshots(directory: str, host: str) -> list[str]:
    """The host's snapshots in a directory, the oldest first; nobody else's, whose name may begin alike."""
    ours = re.compile(re.escape(file_name(host, "")[: -len(".rdb")]) + r"\d{8}T\d{6}Z\.rdb")
    return [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if ours.fullmatch(name)]

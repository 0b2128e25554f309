"""The role's table of directives, by which it refuses input before anything is installed, against the installed server."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from conftest import flavor, redis_cli

testinfra_hosts = ["ansible://redis"]

TABLE = runpy.run_path(str(Path(__file__).parents[2] / "plugins/module_utils/_redis_directive_table.py"))["DIRECTIVES"]

# A value that every version takes, for each type; and for what is not content with that.
SAMPLES = {"bool": "no", "int": "1", "size": "1mb", "string": '""'}
SAMPLE = {
    "appenddirname": "name",
    "appendfilename": "name",
    "bind": "127.0.0.1",
    "client-output-buffer-limit": "normal 0 0 0",
    "cluster-config-file": "name",
    "dbfilename": "name",
    "dir": "/tmp",
    "ignore-warnings": "ARM64-COW-BUG",
    "include": "/dev/null",
    "loadmodule": "/nonexistent.so",
    "loading-process-events-interval-bytes": "1024",
    "oom-score-adj-values": "0 200 800",
    "proc-title-template": "server-{port}",
    "rdma-rx-size": "65536",
    "rename-command": 'FLUSHALL ""',
    "replicaof": "no one",
    "save": "3600 1",
    "shutdown-on-sigint": "default",
    "shutdown-on-sigterm": "default",
    "slaveof": "no one",
    "unixsocketperm": "700",
    "user": "somebody off",
}


def _series(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]


@pytest.fixture(scope="module")
def known(host) -> list[str]:
    """What the table gives to this server."""
    name = flavor(host.ansible.get_variables())
    here = _series(re.search(r"v=([0-9.]+)", host.check_output(f"{name}-server --version"))[1])
    return [
        directive
        for directive, spec in TABLE.items()
        if spec.get("only", name) == name and _series(spec.get("since", "0.0")) <= here < _series(spec.get("until", "99.0"))
    ]


@pytest.fixture
def answered(host, variables) -> set[str]:
    """What the server itself says it knows."""
    return set(redis_cli(host, variables, "CONFIG", "GET", "*")[::2])


def test_the_table_has_what_the_server_has(known, answered):
    # Debugging aids that are no configuration: 6.0 answers them, and takes them at run time alone.
    assert answered - set(known) - {"watchdog-period"} == set()


def test_the_table_gives_the_server_nothing_that_it_lacks(known, answered):
    assert answered & set(TABLE) <= set(known) | {"watchdog-period"}


def test_the_server_starts_on_all_that_the_table_gives_it(host, variables, known):
    def line(directive: str) -> str:
        spec = TABLE[directive]
        return f"{directive} {SAMPLE.get(directive) or (spec['choices'][0] if spec['type'] == 'enum' else SAMPLES[spec['type']])}"

    # The last line is wrong, so that nothing starts and the server says how far it came.
    text = "\n".join([*map(line, known), 'port "'])
    said = host.run(f"cd /tmp && echo {shlex.quote(text)} | {flavor(variables)}-server - 2>&1")
    assert f"at line {len(known) + 1}\n" in said.stdout, said.stdout


def test_the_server_refuses_what_the_table_calls_a_wrong_value(host, variables, known):
    typed = [directive for directive in known if TABLE[directive]["type"] != "string"]
    commands = "".join(f"CONFIG SET {directive} never-right\n" for directive in typed)
    said = redis_cli(host, variables, stdin=commands)
    assert len([answer for answer in said if answer.startswith("ERR")]) == len(typed)

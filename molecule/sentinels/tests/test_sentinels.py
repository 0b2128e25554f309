"""Two primaries in the course of time: handed over, hung, given other passwords and certificates, with machines that die, come and leave.

One after the other: each test goes on with what the one before has left. All end with a run of site.yml that finds nothing to change, and with
every result that was ever stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
sys.path.insert(0, str(PROJECT / "molecule/shared"))

import testbed  # pylint: disable=wrong-import-position
from certificates import Authority  # pylint: disable=wrong-import-position

STATE = PROJECT / ".cache/testbed/sentinels"
WORKERS = {"main": "a1", "other": "s1"}
# Seconds. A task that was lost with its connection is handed out again after 20.
PATIENCE = 90
SLEEP = 0.2
ENTRY = re.compile(r"^(name|ip|port|flags|master-link-status|num-slaves|num-other-sentinels)$")


class Stack:
    """The scenario's inventory, as somebody goes on writing it, and its hosts."""

    def __init__(self) -> None:
        self.content = yaml.safe_load((SCENARIO / "inventory.yml").read_text())
        self.directory = STATE / "next"
        self.directory.mkdir(exist_ok=True)
        # Of each primary: tasks that were sent, with what they are to result in.
        self.sent: dict[str, list[str]] = {name: [] for name in WORKERS}

    @property
    def groups(self) -> dict:
        return self.content["all"]["children"]

    @property
    def sets(self) -> dict:
        return self.groups["redis"]["children"]

    @property
    def sentinels(self) -> list[str]:
        return list(self.groups["redis_sentinel"]["hosts"])

    @property
    def hosts(self) -> list[str]:
        return [*(name for its in self.sets.values() for name in its["hosts"]), *self.sentinels]

    def playbook(self, name: str) -> dict[str, int]:
        """How many tasks changed something on each host."""
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(self.content, sort_keys=False))
        shutil.copy(STATE / "inventory/testbed.yml", self.directory)
        done = subprocess.run(
            ["ansible-playbook", f"--inventory={self.directory}", f"taskqueue.stack.{name}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0, done.stdout
        return {host: int(number) for host, number in re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)}

    def root(self, host: str, command: str) -> str:
        there = testinfra.get_host(f"ansible://{host}", ansible_inventory=str(STATE / "inventory"))
        with there.sudo():
            return there.check_output(command)

    def celery(self, primary: str, code: str) -> object:
        program = f"import json\nfrom taskqueue_stack import app\n{code}\nprint(json.dumps(answer))"
        command = f"cd /; exec sudo -u celery /opt/celery/current/bin/python -c {shlex.quote(program)}"
        return json.loads(self.root(WORKERS[primary], f"sh -c {shlex.quote(command)}").splitlines()[-1])

    def ask(self, sentinel: str, *words: str) -> list[str]:
        """What a Sentinel answers; nothing when it does not."""
        password = self.groups["redis_sentinel"]["vars"]["redis_sentinel_password"]
        tls = "--tls " + " ".join(f"--{option} /etc/redis/tls/sentinel{file}" for option, file in (("cacert", "-ca.crt"), ("cert", ".crt"), ("key", ".key")))
        command = f"REDISCLI_AUTH={shlex.quote(password)} redis-cli {tls} -h {sentinel} -p 26379 sentinel {shlex.join(words)}"
        there = testinfra.get_host(f"ansible://{sentinel}", ansible_inventory=str(STATE / "inventory"))
        with there.sudo():
            return there.run(command).stdout.splitlines()

    def entries(self, sentinel: str, *words: str) -> list[dict[str, str]]:
        lines = self.ask(sentinel, *words)
        found: list[dict[str, str]] = []
        for name, value in zip(lines[::2], lines[1::2]):
            if name == "name":
                found.append({})
            if ENTRY.match(name) and name not in found[-1]:
                found[-1][name] = value
        return found

    def primaries(self) -> dict[str, str]:
        """Of each name, the host that all Sentinels have for it."""
        found = {name: {tuple(self.ask(sentinel, "get-master-addr-by-name", name)[:1]) for sentinel in self.sentinels} for name in self.sets}
        assert all(len(each) == 1 for each in found.values()), found
        return {name: each.pop()[0] for name, each in found.items()}

    def is_settled(self) -> bool:
        """Whether every Sentinel has all servers in order, all the other Sentinels, and nobody else."""
        for sentinel in self.sentinels:
            masters = {each["name"]: each for each in self.entries(sentinel, "masters")}
            if masters.keys() != self.sets.keys() or any(
                (each["flags"], each["num-other-sentinels"]) != ("master", str(len(self.sentinels) - 1)) for each in masters.values()
            ):
                return False
            for name, its in self.sets.items():
                replicas = self.entries(sentinel, "replicas", name)
                if {each["ip"] for each in replicas} | {masters[name]["ip"]} != its["hosts"].keys() or any(
                    (each["flags"], each["master-link-status"]) != ("slave", "ok") for each in replicas
                ):
                    return False
        return True

    def send(self, number: int = 20) -> None:
        """Work for each primary's worker."""
        for name in self.sets:
            self.sent[name] += self.celery(name, f"answer = [app.send_task('taskqueue_example.sleep', [{SLEEP}]).id for _ in range({number})]")

    def results(self) -> dict[str, list]:
        """What came of all that was ever sent."""
        code = "answer = []\nfor each in {}:\n    result = app.AsyncResult(each)\n    answer.append([result.get(timeout={}), result.state])"
        return {name: self.celery(name, code.format(self.sent[name], PATIENCE)) for name in self.sets}


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack()


@pytest.fixture(autouse=True)
def _ends_well(stack: Stack) -> None:
    """How each test is to end."""
    yield
    until(stack.is_settled)
    primaries = stack.primaries()
    assert set(stack.playbook("site").values()) == {0}
    assert stack.primaries() == primaries
    for name, found in stack.results().items():
        assert found == [[SLEEP, "SUCCESS"]] * len(stack.sent[name]), name


def digest(certificate: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def served(stack: Stack, host: str, port: int) -> str:
    """The certificate that a server of this host shows, by its digest."""
    code = f"import hashlib, ssl; print(hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(('127.0.0.1', {port})))).hexdigest())"
    return stack.root(host, f"python3 -c {shlex.quote(code)}")


def test_one_primary_is_handed_over_and_the_other_hangs(stack: Stack) -> None:
    assert {name: stack.celery(name, "answer = app.conf.broker_transport_options['master_name']") for name in WORKERS} == {"main": "main", "other": "other"}
    before = stack.primaries()
    stack.send()
    stack.playbook("failover")
    handed_over = stack.primaries()
    assert not handed_over.items() & before.items()
    until(stack.is_settled)
    # All are done: what is lost of those that are on their way is counted in the scenario ha.
    stack.send()
    stack.results()
    hung = handed_over["main"]
    stack.root(hung, "systemctl kill --signal=STOP redis-server")
    until(lambda: stack.ask("s1", "get-master-addr-by-name", "main")[0] != hung)
    # It comes back as what it was, and is told otherwise.
    stack.root(hung, "systemctl kill --signal=CONT redis-server")
    until(stack.is_settled)
    assert stack.primaries() == {"main": before["main"], "other": handed_over["other"]}


def test_passwords_and_certificates_change(stack: Stack) -> None:
    authority, before = Authority(STATE / "tls"), {host: served(stack, host, 26379) for host in stack.sentinels}
    for host in stack.hosts:
        for kind, purpose in (("-peer", "server client"), ("-client", "client")):
            for end, text in zip(("crt", "key"), authority.issue(host, "localhost", purpose=purpose)):
                (STATE / f"tls/{host}{kind}.{end}").write_text(text)
    main = stack.sets["main"]["vars"]
    main.update(redis_password="main's next", redis_replication_password="peers/main;2")
    primaries = stack.primaries()
    old = stack.groups["redis_sentinel"]["vars"]["redis_sentinel_password"]
    stack.send()
    stack.groups["redis_sentinel"]["vars"]["redis_sentinel_password"] = "watch me/2"
    stack.playbook("site")
    assert stack.primaries() == primaries
    for host in stack.sentinels:
        assert served(stack, host, 26379) == digest((STATE / f"tls/{host}-peer.crt").read_text()) != before[host]
        assert old not in stack.root(host, "cat /etc/redis/sentinel.conf")
    assert {served(stack, host, 6379) for host in ("a1", "b1")} == {digest((STATE / f"tls/{host}-peer.crt").read_text()) for host in ("a1", "b1")}


def test_a_machine_dies_with_a_primary_and_a_sentinel_and_others_come(stack: Stack) -> None:
    if stack.primaries()["other"] != "b2":
        stack.playbook("failover")
    main = stack.primaries()["main"]
    stack.send()
    stack.results()
    testbed.engine("rm", "--force", "--volumes", testbed.Host("sentinels", "b2", "rhel9").container)
    until(lambda: stack.ask("s1", "get-master-addr-by-name", "other")[:1] == ["b1"])
    testbed.up("sentinels", SCENARIO / "inventory.yml")
    # A host of a Sentinel becomes a server, too.
    stack.sets["main"]["hosts"]["s2"] = {}
    changed = stack.playbook("site")
    assert changed["b2"] and changed["s2"]
    assert stack.primaries() == {"main": main, "other": "b1"}


def test_servers_a_sentinel_and_a_whole_set_leave(stack: Stack) -> None:
    stack.send()
    stack.results()
    stack.root("s2", "systemctl disable --now redis-server")
    stack.root("b2", "systemctl disable --now redis-sentinel redis")
    del stack.sets["main"]["hosts"]["s2"]
    del stack.sets["other"]
    del stack.groups["redis_sentinel"]["hosts"]["b2"]
    stack.groups["redis_sentinel"]["hosts"]["a2"] = {}
    # Its worker goes where the others are.
    stack.groups["celery_worker"]["hosts"]["s1"] = {}
    changed = stack.playbook("site")
    assert changed["a2"] and changed["s1"] and "b1" not in changed
    assert stack.celery("other", "answer = app.conf.broker_transport_options['master_name']") == "main"

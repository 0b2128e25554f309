"""What the tests of all scenarios share: ways to ask a host, and the journal of a host whose test failed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

VENV = "/opt/celery/current/bin"


@pytest.fixture
def variables(host):
    """The inventory's variables of this host."""
    return host.ansible.get_variables()


@pytest.fixture
def redis_config(host, variables):
    """What the running Redis says its configuration is."""

    def get(directive: str) -> str:
        return redis_cli(host, variables, "CONFIG", "GET", directive)[1]

    return get


def flavor(variables: dict) -> str:
    """redis or valkey: the name under which everything of the server goes."""
    return variables.get("redis_flavor", "redis")


def is_open(variables) -> bool:
    """Whether a client on the Redis host itself needs no password."""
    return not variables.get("redis_password") and variables.get("redis_default_user_enabled", True)


def redis_cli(
    host, variables, *command: str, authenticate: bool = True, login: tuple[str, str] | None = None, stdin: str = ""
) -> list[str]:
    """The lines that Redis answers to one command, or to those of ``stdin``. The password goes by the environment, as it should for everybody.

    As a user who may do everything, unless a name and a password are given.
    """
    user, password = login or (variables.get("redis_admin_user"), variables.get("redis_admin_password") or variables.get("redis_password"))
    name, port = flavor(variables), variables.get("redis_port", 6379)
    words = [f"{name}-cli", *(["-p", str(port)] if port else ["-s", f"/run/{name}/{name}.sock"])]
    words += ["--user", user] if authenticate and user else []
    command_line = " ".join(map(shlex.quote, [*words, *command]))
    # By standard input: sudo puts into the journal what a command is given, and the environment that it passes on.
    lines = f"{password if authenticate and password else ''}\n{stdin}"
    script = f'IFS= read -r REDISCLI_AUTH; test -z "$REDISCLI_AUTH" || export REDISCLI_AUTH; exec {command_line}'
    # A Redis that speaks TLS alone has a socket for root.
    shell = "sh -c" if port else "sudo sh -c"
    backend = host.backend
    rights, backend.sudo = backend.sudo, False
    try:
        return host.check_output(f"printf %s {shlex.quote(lines)} | {shell} {shlex.quote(script)}").splitlines()
    finally:
        backend.sudo = rights


def ports(variables: dict) -> list[int]:
    """Where this host's Redis listens."""
    return [port for port in (variables.get("redis_port", 6379), variables.get("redis_tls_port", 0)) if port]


def workers(variables: dict) -> list[str]:
    """The node names of the workers of a host."""
    instances = variables.get("celery_worker_instances", [{"name": "default"}])
    return [f"{worker['name']}@{variables['inventory_hostname']}" for worker in instances]


def with_celery(host, code: str) -> object:
    """Runs Python with the application as ``app``, the way the workers run it; returns what the code assigned to ``answer``."""
    program = f"import json\nfrom taskqueue_stack import app\n{code}\nprint(json.dumps(answer))"
    with host.sudo("celery"):
        return json.loads(host.check_output(f"cd /; {VENV}/python -c %s", program).splitlines()[-1])


def send(host, task: str, *args: object, worker: str) -> str:
    """Sends a task to one worker's own queue; returns its id."""
    return with_celery(
        host,
        "from celery.utils.nodenames import worker_direct\n"
        f"answer = app.send_task({task!r}, {args!r}, queue=worker_direct({worker!r})).id",
    )


def result(host, task_id: str, timeout: float = 60) -> object:
    """Waits for a task's result."""
    return with_celery(host, f"answer = app.AsyncResult({task_id!r}).get(timeout={timeout})")


def run_playbook(host, playbook: str, **variables: object) -> int:
    """Runs a playbook of the collection on this host alone, with variables laid over the inventory; returns how many tasks changed something."""
    name = host.backend.host
    limit, extra = f"--limit=localhost,{name}", f"--extra-vars={json.dumps(variables)}"
    done = subprocess.run(
        ["ansible-playbook", f"--inventory={host.backend.ansible_inventory}", limit, extra, f"taskqueue.stack.{playbook}"],
        # Molecule asks for colors, also where nobody looks.
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return int(re.search(rf"^{name} .*changed=(\d+)", done.stdout, re.MULTILINE)[1])


class Machine:
    """A test host, for tests that have several of them at work side by side."""

    def __init__(self, host) -> None:
        self.host = host
        self.variables = host.ansible.get_variables()
        self.name = self.variables["inventory_hostname"]
        self.redis = "redis-server" if host.exists("apt-get") else "redis"

    def root(self, command: str) -> str:
        with self.host.sudo():
            return self.host.check_output(command)


def side_by_side(function: Callable, machines: Iterable[Machine], *arguments: Iterable) -> dict[str, object]:
    """What the function gave for each machine, all at the same time."""
    with ThreadPoolExecutor() as threads:
        return dict(zip([machine.name for machine in machines], threads.map(function, machines, *arguments)))


def exposure(host, unit: str) -> float:
    """How much a unit may do, as systemd-analyze puts it: 10 is everything."""
    with host.sudo():
        verdict = host.check_output(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
    return float(verdict.split(":")[1].split()[0])


def until(condition, seconds: float = 60) -> None:
    """Waits for a state that takes its time on a busy machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    host = item.funcargs.get("host") if hasattr(item, "funcargs") else None
    if report.failed and host is not None:
        with host.sudo():
            journal = host.run("systemctl --failed --no-pager; journalctl --no-pager --lines=60")
        report.sections.append((f"journal of {host.backend.get_pytest_id()}", journal.stdout))

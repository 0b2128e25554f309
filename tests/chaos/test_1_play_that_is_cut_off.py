"""The play is killed at every task that changes something, and run again. First, as it needs hosts on which all is to be done."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time

import pytest
from testinfra import get_hosts

INVENTORY = f"{os.environ['MOLECULE_PROJECT_DIRECTORY']}/.cache/testbed/{os.environ['MOLECULE_SCENARIO_NAME']}/inventory"
# A task is killed when it has run so long, and is then in the middle of its work. Later again, if it takes longer than that.
MOMENTS = (0.5, 4.0)
# On a stack that runs: one change for each thing that the roles write, and one that Redis cannot take without a restart.
CHANGES = {
    "redis_config": {"databases": 20, "maxmemory": "200mb"},
    "celery_app_settings": {"result_expires": 7200},
    "celery_worker_stop_timeout": 100,
}

# The modules' processes belong to the SSH server's control group, and so do those that they started. All but the server
# and the login that runs this.
KILL_WHAT_THE_LOGIN_RUNS = """
import os, signal
spared, process = set(), os.getpid()
while process > 1:
    spared.add(process)
    process = int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
group = next(line for line in open("/proc/self/cgroup") if line.startswith("0::"))[3:].strip()
for process in map(int, open(f"/sys/fs/cgroup{group}/cgroup.procs").read().split()):
    if process not in spared:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
"""

# As a loss of power would, in the moment when the package is in that state.
KILL_APT = """
until [ "$(dpkg-query --show --showformat='${db:Status-Status}' redis-server 2>/dev/null)" = %s ]; do :; done
pkill -KILL -x apt-get; pkill -KILL -x dpkg
"""


class Play:
    """A run of site, whose tasks can be watched as they begin."""

    def __init__(self, variables: dict, *arguments: str) -> None:
        command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars={json.dumps(variables)}", *arguments, "taskqueue.stack.site"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.output = ""
        self.task = ""

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def goes_on(self, seconds: float = 600) -> bool:
        """Whether another task begins within that time."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while line := self._lines.get(timeout=max(0, deadline - time.monotonic())):
                self.output += line
                if line.startswith("TASK ["):
                    self.task = line[len("TASK [") :].rpartition("]")[0]
                    return True
        return False

    def reach(self, task: str) -> bool:
        """Whether it comes to this task. If not, it ends well: what was cut off there had been done, only nobody had been told."""
        while self.task != task:
            if not self.goes_on():
                assert self._process.wait() == 0, self.output[-6000:]
                return False
        return True

    def kill(self, hosts: list) -> None:
        # Its workers leave its process group (ansible-core 2.19). It begins no more of them while they are looked for.
        self._process.send_signal(signal.SIGSTOP)
        for process in [*descendants(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait()
        for host in hosts:
            with host.sudo():
                host.check_output("python3 -c %s", KILL_WHAT_THE_LOGIN_RUNS)

    def finish(self) -> list[str]:
        """Runs to the end. The tasks that reported a change, in their order."""
        while self.goes_on():
            pass
        assert self._process.wait() == 0, self.output[-6000:]
        found = re.findall(r"^TASK \[(.*)\]|^(changed): ", self.output, re.MULTILINE)
        return list(dict.fromkeys(line[0] for line, following in zip(found, found[1:]) if line[0] and following[1]))


def descendants(process: int) -> list[int]:
    pairs = [line.split() for line in subprocess.check_output(["ps", "-eo", "pid=,ppid="], text=True).splitlines()]
    children = [int(child) for child, parent in pairs if int(parent) == process]
    return [*children, *(found for child in children for found in descendants(child))]


def kill_at_every_task(variables: dict, hosts: list) -> Play:
    """The run that was not killed any more."""
    tasks = Play(variables, "--check").finish()
    assert len(tasks) >= 3
    play, killed = None, set()
    for task in tasks:
        for moment in MOMENTS:
            play = play or Play(variables)
            if not play.reach(task):
                print(f"was done already: {task}")
                play = None
                break
            over = play.goes_on(moment)
            if over and moment > MOMENTS[0]:
                break
            play.kill(hosts)
            play = None
            killed.add(task)
            print(f"killed {'after' if over else f'{moment} s into'}: {task}")
            if over:
                break
    assert len(killed) > len(tasks) / 2
    return play or Play(variables)


def test_a_play_that_is_cut_off_is_taken_up_by_the_next() -> None:
    hosts = get_hosts(["ansible://all"], ansible_inventory=INVENTORY)
    for variables in ({}, CHANGES):
        kill_at_every_task(variables, hosts).finish()
    # The play has had a task come back from each worker. What is left is that there is nothing to do.
    assert Play(CHANGES).finish() == []


@pytest.mark.parametrize("state", ["half-installed", "unpacked"])
def test_an_installation_that_is_cut_off_is_finished_by_the_next(state: str) -> None:
    host = next(host for host in get_hosts(["ansible://all"], ansible_inventory=INVENTORY) if host.exists("apt-get"))
    command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--limit={host.backend.host}", "taskqueue.stack.redis"]
    with host.sudo():
        host.check_output("systemctl stop redis-server; apt-get purge --quiet --yes redis-server redis-tools")
        host.check_output("systemd-run --collect timeout 120 bash -c %s", KILL_APT % state)
    cut_off = subprocess.run(command, capture_output=True, text=True, check=False)
    assert cut_off.returncode != 0, "apt was not killed"
    taken_up = subprocess.run(command, capture_output=True, text=True, check=False)
    assert taken_up.returncode == 0, taken_up.stdout[-6000:]
    assert host.check_output("redis-cli ping") == "PONG"
    # Such a file would hold back every service that is ever installed.
    assert not host.file("/usr/sbin/policy-rc.d").exists

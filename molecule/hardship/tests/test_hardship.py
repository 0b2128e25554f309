"""Processes, Redis, whole hosts and disks fail under load. Each task is counted by its id, so that one that is lost or runs twice is known.

The hosts have their turn side by side. The tests depend on their order: what takes long begins in the first one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra
from conftest import Machine, redis_cli, result, side_by_side, until, with_celery

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = PROJECT / ".cache/testbed/hardship/inventory"
WORKERS = ("prefork", "stubborn", "threads", "gevent", "solo")
PER_SECOND = 25
# What the inventory says.
MAX_REDELIVERIES, STOP_TIMEOUT = 2, 5
# Far more than a quiet machine needs.
PATIENCE = 180
# Longer than all that happens to a worker that is killed three times.
LATER = 45

# Waits until everything is over: each id that Redis has confirmed has had its effect, or nothing is left that could bring it.
COUNT = """
import time
from hardship import MARKS
label, deadline = %r, time.monotonic() + %d
client = app.connection_for_read().default_channel.client
read = lambda ending: set(open(f"/var/lib/celery/{label}.{ending}").read().split())
def over():
    return client.llen("celery") == 0 and not any(label.encode() in entry for entry in client.hvals("unacked"))
looks = 0
while looks < 3 and time.monotonic() < deadline:
    looks = looks + 1 if over() else 0
    time.sleep(0.5)
sent, again = read("sent"), read("again")
effects = {key.decode(): int(value) for key, value in MARKS.hgetall("effects").items()}
twice = [task for task in sent if effects.get(task, 0) > 1]
answer = dict(sent=len(sent), lost=len(sent - effects.keys()), twice=len(twice), sent_again=len(again & set(twice)), over=looks == 3)
"""


@dataclasses.dataclass
class Figures:
    """What came of a load."""

    sent: int
    lost: int
    twice: int
    sent_again: int
    over: bool

    def __str__(self) -> str:
        return f"{self.sent} tasks sent, {self.lost} lost, {self.twice} run twice ({self.sent_again} of them sent twice)"


class Host(Machine):
    """A test host with its Redis and its workers."""

    def show(self, worker: str, name: str) -> str:
        return self.root(f"systemctl show --property={name} --value celery-worker@{worker}")

    def pids(self) -> list[str]:
        units = " ".join(f"celery-worker@{worker}" for worker in WORKERS)
        return self.root(f"systemctl show --property=MainPID --value {units}").split()

    def journal(self, *arguments: str) -> list[str]:
        return self.root(f"journalctl --quiet --output=cat --unit='celery-worker@*' {' '.join(arguments)}").splitlines()

    def send(self, task: str, *arguments: object, queue: str, **options: object) -> str:
        return with_celery(self.host, f"answer = app.send_task('hardship.{task}', {arguments!r}, queue={queue!r}, **{options!r}).id")

    def result(self, task: str) -> object:
        return result(self.host, task, timeout=PATIENCE)

    def mark(self, kind: str, task: str) -> int:
        return int((redis_cli(self.host, self.variables, "-n", "5", "HGET", kind, task) or [""])[0] or 0)

    def start_load(self, label: str) -> None:
        properties = "--property=User=celery --property=EnvironmentFile=/etc/celery/celery.env"
        python = self.root("readlink -f /opt/celery/current") + "/bin/python"
        self.root(f"rm -f /var/lib/celery/{label}.*; systemd-run --collect --unit=load-{label} {properties} {python} -m hardship_load {label} {PER_SECOND}")
        until(lambda: self.root(f"wc -l /var/lib/celery/{label}.sent 2>/dev/null || echo 0").split()[0] not in ("0", ""), 30)

    def end_load(self, label: str) -> Figures:
        self.root(f"touch /var/lib/celery/{label}.enough; while systemctl is-active --quiet load-{label}; do sleep 0.2; done")
        return Figures(**with_celery(self.host, COUNT % (label, PATIENCE)))


@pytest.fixture(scope="module")
def hosts() -> list[Host]:
    return [Host(host) for host in testinfra.get_hosts(["ansible://celery_worker"], ansible_inventory=str(INVENTORY))]


@pytest.fixture(scope="module")
def poison(hosts: list[Host]) -> dict[str, dict[str, str]]:
    """A task in each pool that kills the process it runs in, and behind one of them a task that waits for its time."""

    def send(host: Host) -> dict[str, str]:
        sent = {queue: host.send("poison", "a-secret", queue=queue) for queue in ("celery", "threads", "gevent", "solo")}
        return {**sent, "later": host.send("late", 0, queue="threads", countdown=LATER)}

    return side_by_side(send, hosts)


def test_a_task_that_ignores_the_warm_stop(hosts: list[Host], poison: dict) -> None:
    def stop(host: Host) -> str:
        task = host.send("stubborn", queue="stubborn")
        until(lambda: host.mark("begun", task) == 1)
        began = time.monotonic()
        host.root("systemctl restart celery-worker@stubborn")
        seconds = time.monotonic() - began
        assert STOP_TIMEOUT <= seconds < STOP_TIMEOUT + 60
        assert "timed out. Killing" in "\n".join(host.journal())
        assert host.result(task) == "done at last"
        assert (host.mark("begun", task), host.mark("effects", task)) == (2, 1)
        # The worker is free for one that kills a whole prefork worker.
        poison[host.name]["stubborn"] = host.send("poison", "a-secret", "parent", queue="stubborn")
        return f"stopped and started within {seconds:.1f} s, its task done {time.monotonic() - began:.1f} s after the stop began"

    for name, said in side_by_side(stop, hosts).items():
        print(f"{name}: {said}")


def test_processes_of_the_pool_are_killed(hosts: list[Host]) -> None:
    def kill(host: Host) -> Figures:
        host.start_load("children")
        before = host.show("prefork", "MainPID")
        # Always one that is there now, each of the four in turn.
        child = f"pgrep --parent {before} | shuf --head-count=1"
        host.root(f"for number in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -9 $({child}); done")
        figures = host.end_load("children")
        assert host.show("prefork", "MainPID") == before
        # When it is the kernel that kills one, for lack of memory, systemd leaves the others alone.
        assert host.show("prefork", "OOMPolicy") == "continue"
        return figures

    for name, figures in side_by_side(kill, hosts).items():
        print(f"{name}: 10 processes of the pool killed: {figures}")
        assert (figures.lost, figures.over) == (0, True)


def test_the_main_process_is_killed(hosts: list[Host]) -> None:
    kills = 2

    def kill(host: Host) -> tuple[Figures, float]:
        host.start_load("main")
        for _number in range(kills):
            time.sleep(3)
            before = host.show("prefork", "MainPID")
            began = time.monotonic()
            host.root("systemctl kill --kill-who=main --signal=KILL celery-worker@prefork")
            until(lambda: host.show("prefork", "MainPID") not in ("0", before) and host.show("prefork", "StatusText") == "Consuming", PATIENCE)
            seconds = time.monotonic() - began
        return host.end_load("main"), seconds

    for name, (figures, seconds) in side_by_side(kill, hosts).items():
        print(f"{name}: main process killed {kills} times, it consumed again {seconds:.1f} s later: {figures}")
        # Redis hands a task out and the worker notes that it has it: two steps (BRPOP, then HSET), with room for one task in between.
        assert figures.lost <= kills
        assert figures.over


@pytest.mark.parametrize("queue", ["celery", "threads", "gevent", "solo", "stubborn"])
def test_a_task_that_kills_its_process_each_time_ends_as_failed(hosts: list[Host], poison: dict, queue: str) -> None:
    def look(host: Host) -> None:
        task = poison[host.name][queue]
        asked = f"answer = app.AsyncResult({task!r}).get(timeout={PATIENCE})"
        code = f"try:\n    {asked}\nexcept Exception as error:\n    answer = [type(error).__name__, str(error)]"
        kind, text = with_celery(host.host, code)
        assert kind == "WorkerLostError"
        assert f"begun anew {MAX_REDELIVERIES} times" in text
        assert host.mark("begun", task) == MAX_REDELIVERIES + 1
        assert host.mark("failed", task) == 1
        journal = host.journal("--since=-1hour")
        assert [line for line in journal if "begun anew" in line and task in line and "ERROR" in line] != []
        assert len([line for line in journal if "begun anew" in line and task in line]) == 1
        assert [line for line in journal if "a-secret" in line] == []
        # The worker is there for others.
        assert host.result(host.send("late", 0, queue=queue)) == 0

    side_by_side(look, hosts)


def test_what_never_began_is_no_poison_however_often_it_was_delivered(hosts: list[Host], poison: dict) -> None:
    def look(host: Host) -> None:
        task = poison[host.name]["later"]
        assert host.result(task) == 0
        assert host.mark("effects", task) >= 1
        delivered = [line for line in host.journal() if f"hardship.late[{task}] received" in line]
        assert len(delivered) > MAX_REDELIVERIES + 1

    side_by_side(look, hosts)


def test_redis_is_restarted_and_then_away_for_a_minute(hosts: list[Host]) -> None:
    def take_away(host: Host) -> tuple[Figures, float]:
        before = host.pids()
        host.start_load("away")
        time.sleep(3)
        host.root(f"systemctl restart {host.redis}; sleep 10; systemctl stop {host.redis}; sleep 60; systemctl start {host.redis}")
        began = time.monotonic()
        host.result(host.send("late", 0, queue="celery"))
        seconds = time.monotonic() - began
        figures = host.end_load("away")
        # Nobody has restarted anything.
        assert host.pids() == before
        return figures, seconds

    for name, (figures, seconds) in side_by_side(take_away, hosts).items():
        print(f"{name}: Redis restarted, then away for 60 s: the worker resumed {seconds:.1f} s after it was back: {figures}")
        # As when a worker is killed: a task between two steps, for each time that Redis went.
        assert figures.lost <= 2
        assert figures.over


def test_the_host_is_rebooted(hosts: list[Host]) -> None:
    def reboot(host: Host) -> tuple[Figures, float]:
        host.start_load("reboot")
        time.sleep(5)
        began = time.monotonic()
        subprocess.run([sys.executable, PROJECT / "molecule/shared/testbed.py", "restart", "hardship", host.name], check=True)
        host.result(host.send("late", 0, queue="celery"))
        seconds = time.monotonic() - began
        return host.end_load("reboot"), seconds

    for name, (figures, seconds) in side_by_side(reboot, hosts).items():
        print(f"{name}: rebooted, the first task came back {seconds:.1f} s after the command: {figures}")
        assert (figures.lost, figures.over) == (0, True)


RELEASES = "/opt/celery/releases"


@pytest.fixture
def few_files(hosts: list[Host]) -> Iterator[None]:
    """The releases on a disk with room for a few more files, which nobody sees beforehand."""
    move = "rm -rf /var/tmp/releases; cp -a {0} /var/tmp/releases; {1}; cp -a /var/tmp/releases/. {0}; rm -rf /var/tmp/releases"
    mount = f"mount -t tmpfs -o size=1g,mode=0755,nr_inodes=$(( $(find {RELEASES} | wc -l) + 400 )) tmpfs {RELEASES}"
    side_by_side(lambda host: host.root(move.format(RELEASES, mount)), hosts)
    yield
    side_by_side(lambda host: host.root(move.format(RELEASES, f"umount --lazy {RELEASES}")), hosts)


def deploy(source: Path) -> subprocess.CompletedProcess:
    variables = json.dumps({"celery_app_source": str(source), "deploy_serial": "100%"})
    command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars={variables}", "taskqueue.stack.deploy"]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def test_the_disk_is_full_while_a_release_is_built(hosts: list[Host], few_files: None, tmp_path: Path) -> None:
    def state(host: Host) -> tuple[str, ...]:
        return host.root("readlink /opt/celery/current"), host.root(f"find {RELEASES} -mindepth 1 -maxdepth 1 | sort"), *host.pids()

    source = tmp_path / "app"
    shutil.copytree(SCENARIO / "app", source)
    with (source / "hardship.py").open("a") as module:
        module.write("\n# Another release.\n")
    side_by_side(lambda host: host.start_load("disk"), hosts)
    before = side_by_side(state, hosts)
    refused = deploy(source)
    after = side_by_side(state, hosts)
    side_by_side(lambda host: host.root(f"mount -o remount,nr_inodes=0 {RELEASES}"), hosts)
    done = deploy(source)
    moved = side_by_side(state, hosts)
    figures = side_by_side(lambda host: host.end_load("disk"), hosts)

    print(refused.stdout)
    assert refused.returncode != 0
    assert refused.stdout.count("o space left") >= len(hosts)
    assert "Traceback" not in refused.stdout
    assert after == before
    print(done.stdout)
    assert done.returncode == 0
    for host in hosts:
        print(f"{host.name}: the disk was full, then another release: {figures[host.name]}")
        assert moved[host.name][0] != before[host.name][0]
        assert (figures[host.name].lost, figures[host.name].twice, figures[host.name].over) == (0, 0, True)

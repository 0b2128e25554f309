# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a playbook costs, as ratios of things measured side by side in one run: seconds alone mean nothing elsewhere.

Run it by `make bench`, on a machine with nothing else to do. It writes docs/benchmarks.md and docs/benchmarks.json. Environment:

BENCH_ROUNDS     how often everything is measured (3)
BENCH_HOSTS      numbers of worker hosts, ascending ("1 4 8")
BENCH_PEER       path of another role that installs Redis, to compare with
BENCH_PEER_VARS  a file with its variables
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import jinja2

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
STATE = REPOSITORY / ".cache/testbed/bench"
INVENTORY = STATE / "inventory"
IMAGE = "ubuntu2404"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SIZES = [int(size) for size in os.environ.get("BENCH_HOSTS", "1 4 8").split()]
PEER = os.environ.get("BENCH_PEER", "")
PEER_VARS = os.environ.get("BENCH_PEER_VARS", "")
THROUGHPUT_TASKS = 300
SITE = "taskqueue.stack.site"

FIRST = "first run ÷ shell script that does the same"
NO_CHANGE = "no-change run ÷ playbook that gathers facts"
FLOOR = "playbook that calls as many of Ansible's own modules ÷ playbook that gathers facts"
PEER_STACK = "no-change run of everything ÷ no-change run of the other role"
PEER_REDIS = "no-change run of the role redis ÷ no-change run of the other role"
PEER_FIRST = "first run of the role redis ÷ first run of the other role"
GROWTH = "no-change run of 8 worker hosts ÷ of 1"
MEMORY = "run that changes maxmemory ÷ no-change run"
CONCURRENCY = "run that changes a worker's concurrency ÷ no-change run"
TRIP = "smoke test, milliseconds there and back (warm, median)"
THROUGHPUT = "tasks a second, as deployed ÷ with Celery's defaults"
# What is aimed at: at most, or for the last, at least.
WANTED = {
    FIRST: 1.1, NO_CHANGE: 2.5, FLOOR: None, PEER_STACK: 1.0, PEER_REDIS: 0.6, PEER_FIRST: None, GROWTH: 4, MEMORY: 1.5, CONCURRENCY: 1.5,
    TRIP: 10, THROUGHPUT: 1.0,
}  # fmt: skip


def run(*command: str | Path, stdin: bytes | None = None, **environment: str) -> str:
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout.decode()}")
    return done.stdout.decode()


def on_host(command: str, stdin: bytes | None = None, host: str = "host1") -> str:
    return run("ssh", "-F", STATE / "ssh_config", host, command, stdin=stdin)


def fresh_hosts(workers: int, several: bool = False, peer: bool = False) -> None:
    """New machines: Redis and a worker on the first, workers on the others; beside them one for the other role."""
    testbed = [sys.executable, REPOSITORY / "molecule/shared/testbed.py"]
    run(*testbed, "down", "bench")
    hosts = {f"host{number}": {"testbed_image": IMAGE} for number in range(1, workers + 1)}
    groups: dict = {"redis": {"hosts": {"host1": {}}}, "celery_worker": {"hosts": hosts}}
    if several:
        groups["redis"]["vars"] = {"redis_bind": ["0.0.0.0"], "redis_password": "bench"}
    if peer:
        groups["other_role"] = {"hosts": {"peer": {"testbed_image": IMAGE}}}
    file = REPOSITORY / ".cache/bench-inventory.yml"
    file.write_text(json.dumps({"all": {"children": groups}}), encoding="utf-8")
    run(*testbed, "up", "bench", file)
    # Connections are opened before the clock starts, for the script as for the playbook.
    for host in hosts:
        on_host("true", host=host)
    if peer:
        # Many roles leave the package index to others.
        on_host("sudo apt-get update --quiet=2", host="peer")


@dataclass
class Play:
    """A run of a playbook: what it took, and what it did."""

    seconds: float
    # Of the control node's processors, for ssh and Ansible.
    processor: float
    changed: int
    # On the first host, without those that are skipped.
    tasks: int
    slowest: list[tuple[str, float]]


def play(name: str | Path, *arguments: str, environment: dict[str, str] | None = None, **variables: object) -> Play:
    command = ["ansible-playbook", "--inventory", INVENTORY, *arguments, "--extra-vars", json.dumps(variables), name]
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    shown = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    output = run(*command, **{**shown, **(environment or {})})
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    recap = {host: (int(ok), int(changed)) for host, ok, changed in re.findall(r"^(\S+) +: ok=(\d+) +changed=(\d+)", output, re.MULTILINE)}
    # A role given by its path is called by it.
    named = output.replace(f"{os.path.abspath(PEER)} : ", f"{Path(PEER).name} : ") if PEER else output
    slowest = [(" ".join(name.split()), float(took)) for name, took in re.findall(r"^(.+?) -{2,} ([\d.]+)s$", named, re.MULTILINE)]
    return Play(
        seconds=seconds,
        processor=after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        changed=sum(changed for _ok, changed in recap.values()),
        tasks=recap.get("host1", recap.get("peer", (0, 0)))[0],
        slowest=slowest[:8],
    )


def no_change(name: str | Path = SITE, *arguments: str, environment: dict[str, str] | None = None, **variables: object) -> Play:
    done = play(name, *arguments, environment=environment, **variables)
    if done.changed:
        sys.exit(f"{name} was to change nothing, and changed {done.changed}")
    return done


def spans() -> dict[str, float]:
    """Where the seconds of a no-change run go (callback/spans.py)."""
    file = REPOSITORY / ".cache/bench-spans"
    file.unlink(missing_ok=True)
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"), "ANSIBLE_CALLBACKS_ENABLED": "spans",
        "BENCH_SPANS": str(file), "BENCH_STARTED": str(time.time()),
    }  # fmt: skip
    total = no_change(environment=environment).seconds
    found = {"start": 0.0, "modules": 0.0, "host": 0.0, "templates": 0.0}
    for line in file.read_text(encoding="utf-8").splitlines():
        kind, took = line.split("\t")
        found[kind] += float(took)
    return {**found, "rest": total - sum(found.values()), "total": total}


def seconds(step: Callable[[], object]) -> float:
    start = time.monotonic()
    step()
    return time.monotonic() - start


def by_hand() -> None:
    constraints = (REPOSITORY / "roles/celery_app/files/constraints.txt").read_bytes()
    on_host("cat >by_hand.sh", (HERE / "by_hand.sh").read_bytes())
    on_host("sudo bash by_hand.sh", constraints)


def peer() -> Play:
    """Another role, as its users call it: with facts."""
    file = REPOSITORY / ".cache/bench-peer.yml"
    file.write_text(json.dumps([{"hosts": "peer", "become": True, "roles": [os.path.abspath(PEER)]}]), encoding="utf-8")
    return play(file, *(["--extra-vars", f"@{PEER_VARS}"] if PEER_VARS else []))


def round_trip() -> float:
    output = run(
        "ansible", "--inventory", INVENTORY, "--become", "host1", "--module-name", "taskqueue.stack.celery_smoke_test",
        "--args", json.dumps({"workers": ["default@host1"], "count": 51}),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
    )  # fmt: skip
    return json.loads(output[output.index("{"):])["plays"][0]["tasks"][0]["hosts"]["host1"]["round_trip_ms"]["median"]


class Report:
    """What was measured: a list of values of each figure, a run of each kind, and tables."""

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = {}
        self.runs: dict[str, Play] = {}
        self.growth: dict[int, dict[str, list[float]]] = {size: {"first": [], "no-change": [], "processor": []} for size in SIZES}
        self.throughput: dict[str, list[dict[str, float]]] = {}
        self.spans: list[dict[str, float]] = []

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)
        print(f"    {figure}: {value:.2f}", flush=True)

    def note_ratios(self, figure: str, pairs: list[tuple[float, float]]) -> None:
        """One value a round: the median of pairs, each measured one right after the other."""
        self.note(figure, statistics.median(over / under for over, under in pairs))


def measure_one_host(report: Report) -> None:
    fresh_hosts(1)
    hand = seconds(by_hand)
    fresh_hosts(1, peer=bool(PEER))
    report.runs["first run"] = first = play(SITE)
    report.note(FIRST, first.seconds / hand)
    pairs, floor = [], []
    for _attempt in range(3):
        report.runs["no-change run"] = unchanged = no_change()
        facts = no_change(HERE / "facts.yml", "--limit", "host1").seconds
        pairs.append((unchanged.seconds, facts))
        floor.append((no_change(HERE / "floor.yml").seconds, facts))
    report.note_ratios(NO_CHANGE, pairs)
    report.note_ratios(FLOOR, floor)
    report.spans.append(spans())
    for figure, name, values in (
        (MEMORY, "redis_config", [{"maxmemory": f"{number}mb"} for number in (200, 201, 202)]),
        (CONCURRENCY, "celery_worker_instances", [[{"name": "default", "concurrency": number}] for number in (3, 4, 5)]),
    ):
        pairs = []
        for value in values:
            changing = play(SITE, **{name: value})
            if not changing.changed:
                sys.exit(f"{name} was to change something, and did not")
            pairs.append((changing.seconds, no_change(**{name: value}).seconds))
        report.runs[figure.partition(" ÷")[0]] = changing
        report.note_ratios(figure, pairs)
        play(SITE)
    report.note(TRIP, round_trip())
    if PEER:
        measure_peer(report)


def measure_peer(report: Report) -> None:
    report.runs["first run of the other role"] = first = peer()
    everything, alone = [], []
    for _attempt in range(3):
        report.runs["no-change run of the other role"] = other = peer()
        report.runs["no-change run of the role redis"] = redis = no_change(HERE / "redis.yml")
        everything.append((no_change().seconds, other.seconds))
        alone.append((redis.seconds, other.seconds))
    report.note_ratios(PEER_STACK, everything)
    report.note_ratios(PEER_REDIS, alone)
    fresh_hosts(1)
    report.note(PEER_FIRST, play(HERE / "redis.yml").seconds / first.seconds)


def measure_throughput(report: Report) -> None:
    fresh_hosts(1)
    play(SITE)
    on_host("cat >throughput.py", (HERE / "throughput.py").read_bytes())
    report.throughput = json.loads(on_host(f"sudo /opt/celery/current/bin/python throughput.py {THROUGHPUT_TASKS} {ROUNDS}"))
    deployed, defaults = list(report.throughput.values())[:2]
    for ours, theirs in zip(deployed, defaults):
        report.note(THROUGHPUT, ours["rate"] / theirs["rate"])


def measure_growth(report: Report) -> None:
    for size in SIZES:
        fresh_hosts(size, several=True)
        report.growth[size]["first"].append(play(SITE).seconds)
    # All of them are there now, and each number of them takes its turn.
    for _round in range(ROUNDS):
        for size in SIZES:
            done = no_change(SITE, "--limit", ",".join(["localhost", *(f"host{number}" for number in range(1, size + 1))]))
            report.growth[size]["no-change"].append(done.seconds)
            report.growth[size]["processor"].append(done.processor)
        if {1, 8} <= set(SIZES):
            report.note(GROWTH, report.growth[8]["no-change"][-1] / report.growth[1]["no-change"][-1])


def machine() -> dict[str, str]:
    cpu = re.search(r"^Model name: *(.+)$", run("lscpu"), re.MULTILINE) if shutil.which("lscpu") else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processors": f"{os.cpu_count()} × {cpu.group(1) if cpu else platform.processor() or platform.machine()}",
        "memory": f"{memory:.0f} GB",
        "control node": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        + run("ansible", "--version").splitlines()[0],
        "test hosts": f"{on_host('. /etc/os-release; echo $PRETTY_NAME').strip()}, containers on the same machine; "
        + on_host("redis-server --version").split(" sha=")[0].strip(),
        "date": date.today().isoformat(),
    }


def write(report: Report, described: dict[str, str]) -> None:
    data = {
        "machine": described,
        "rounds": ROUNDS,
        "figures": {name: {"wanted": WANTED[name], "values": values} for name, values in report.figures.items()},
        "spans": report.spans,
        "runs": {name: vars(each) for name, each in report.runs.items()},
        "growth": report.growth,
        "throughput": report.throughput,
    }
    (REPOSITORY / "docs/benchmarks.json").write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters["median"] = statistics.median
    environment.filters["median_of"] = lambda measured, kind: statistics.median(each[kind] for each in measured)
    page = environment.from_string((HERE / "report.md.j2").read_text(encoding="utf-8")).render(**data, at_least=[THROUGHPUT], tasks=THROUGHPUT_TASKS)
    (REPOSITORY / "docs/benchmarks.md").write_text(page, encoding="utf-8")


@contextmanager
def hosts_removed() -> Iterator[None]:
    try:
        yield
    finally:
        run(sys.executable, REPOSITORY / "molecule/shared/testbed.py", "down", "bench")


def main() -> None:
    report = Report()
    with hosts_removed():
        for number in range(1, ROUNDS + 1):
            print(f"round {number} of {ROUNDS}", flush=True)
            measure_one_host(report)
        measure_throughput(report)
        measure_growth(report)
        write(report, machine())
    print(f"\n{'':72}{'min':>8}{'median':>8}{'max':>8}{'wanted':>8}")
    for figure, values in report.figures.items():
        print(f"{figure:72}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}{WANTED[figure] or '':>8}")
    print("\ndocs/benchmarks.md has the rest.")


if __name__ == "__main__":
    main()

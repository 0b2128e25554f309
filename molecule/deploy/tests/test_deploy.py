"""Two hosts are redeployed three times under load, once with a release that has to be gone back from: no task is lost or runs twice."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import testinfra

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache/testbed/deploy/inventory")
CONSTRAINTS = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], "roles/celery_app/files/constraints.txt")
HOSTS = ("worker1", "worker2")
WORKERS = ("quick", "slow", "spare")
LOGIN = "shop:an-index-password"
TASKS, PER_SECOND = 5000, 40
# For what is still to be done when the last task was sent, ETAs and long ones. Far more than a quiet machine needs.
PATIENCE = 300


def on(name: str) -> testinfra.host.Host:
    return testinfra.get_host(f"ansible://{name}", ansible_inventory=str(INVENTORY))


def output_of(host: str, command: str) -> str:
    with on(host).sudo():
        return on(host).check_output(command)


def current(host: str) -> str:
    return output_of(host, "readlink /opt/celery/current")


def running(host: str) -> list[str]:
    """The main process of each worker of a host, and the release that it runs."""
    units = " ".join(f"celery-worker@{worker}.service" for worker in WORKERS)
    script = f'for pid in $(systemctl show --property=MainPID --value {units}); do echo "$pid $(tr "\\0" " " </proc/$pid/cmdline)"; done'
    return [" ".join(line.split()[:2]) for line in output_of(host, script).splitlines()]


def marks(*command: str) -> str:
    """What the application's own database answers."""
    return output_of("broker", f"REDISCLI_AUTH=deploy-scenario redis-cli -n 5 {' '.join(command)}")


def playbook(name: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess:
    command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars={json.dumps(variables)}", *arguments, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    return done


def source(workspace: Path, release: str) -> str:
    tree = workspace / release
    shutil.copytree(SCENARIO / "app", tree)
    module = tree / "deploy_proof.py"
    module.write_text(module.read_text().replace('RELEASE = "1"', f'RELEASE = "{release}"'))
    return str(tree)


def pack(target: Path, **members: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for name, path in members.items():
            archive.add(path, name)


def wheel() -> bytes:
    """A package that no public index has."""
    info = "deploy_neighbour-1.0.dist-info"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("deploy_neighbour.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: deploy-neighbour\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"deploy_neighbour.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return data.getvalue()


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What came of every release in releases.yml on each host, what was said, and what ran before and after."""
    work = tmp_path_factory.mktemp("releases")
    served = work / "index/simple/deploy-neighbour"
    served.mkdir(parents=True)
    (served / "deploy_neighbour-1.0-py3-none-any.whl").write_bytes(wheel())
    # In a file, so that this test is not the one who shows it.
    (work / "login").write_text(LOGIN)
    pack(work / "index.tar", **{"index": work / "index", "login": work / "login", "private_index.py": SCENARIO / "tests/private_index.py"})
    (work / "shop").mkdir()
    (work / "shop/shop.py").write_text("import nosuch\n")
    # async-timeout is for Python up to 3.11.2, which the control node need not have.
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    subprocess.run([*pip, f"--constraint={CONSTRAINTS}", f"--dest={work / 'wheels'}", "celery[redis]", "async-timeout"], check=True)
    pack(work / "wheelhouse.tar", wheelhouse=work / "wheels")
    before = {host: (current(host), running(host)) for host in HOSTS}
    done = playbook(str(SCENARIO / "tests/releases.yml"), "-vvv", output=str(work), login=LOGIN)
    after = {host: (current(host), running(host)) for host in HOSTS}
    assert done.returncode == 0
    outcomes = {host: json.loads((work / f"{host}.json").read_text()) for host in HOSTS}
    return {"outcomes": outcomes, "said": done.stdout, "before": before, "after": after}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", ["wheelhouse", "private_index"])
def test_builds_without_the_public_index(builds: dict, host: str, name: str) -> None:
    outcome = builds["outcomes"][host][name]
    assert (outcome.get("failed", False), outcome.get("built")) == (False, True), outcome.get("msg")
    assert outcome["tasks"] == ["deploy_proof.early", "deploy_proof.late", "deploy_proof.total"]
    assert ("deploy-neighbour==1.0" in outcome["packages"]) is (name == "private_index")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("module_does_not_import", ["ModuleNotFoundError: No module named 'nosuch'", "shop.py, line 1"]),
        ("attribute_missing", ["module 'deploy_proof' has no attribute 'nope'"]),
        ("no_application", ["deploy_proof:RELEASE is no Celery application, but of the type str"]),
        ("tasks_cannot_be_found", ["No module named 'shop_tasks'"]),
        ("requirements_conflict", ["celery==5.4.0", "celery==5.7.0"]),
        ("no_such_package", ["deploy-neighbour", "9.9"]),
        ("index_refuses", ["refuses access", "user and password"]),
        ("index_does_not_answer", ["does not answer", "index_url"]),
        ("no_such_git_reference", ["source_version", "no branch or tag named 'v9.9'"]),
        ("no_such_git_repository", ["git cannot read file:///srv/shops.git"]),
        ("python_missing", ["/usr/bin/python3.8 does not exist on this host"]),
        ("disk_almost_full", ["not enough disk space", "/srv/small"]),
        ("disk_full", ["o space left"]),
    ],
)
def test_release_that_cannot_be_built_says_why(builds: dict, host: str, name: str, words: list[str]) -> None:
    outcome = builds["outcomes"][host][name]
    assert outcome.get("failed") is True
    assert [word for word in words if word not in outcome["msg"]] == [], outcome["msg"]
    assert "Traceback" not in outcome["msg"]


def test_python_too_old_for_celery_says_why(builds: dict) -> None:
    outcome = builds["outcomes"]["worker2"]["python_too_old"]
    assert outcome.get("failed") is True
    assert "asks for another version of Python" in outcome["msg"]


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_that_runs_is_disturbed_and_no_half_release_stays(builds: dict, host: str) -> None:
    assert builds["before"][host] == builds["after"][host]
    assert output_of(host, "find /opt/celery /srv/small /srv/few -path '*/releases/*/.build'") == ""
    assert output_of(host, "find /srv/small /srv/few -path '*/releases/?*'") == ""


def test_credentials_of_an_index_are_shown_nowhere(builds: dict) -> None:
    assert LOGIN.partition(":")[2] not in builds["said"]
    for host in HOSTS:
        assert LOGIN.partition(":")[2] not in output_of(host, "journalctl --no-pager --output=cat")


@pytest.fixture(scope="module")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Three deployments under load: what each said, and what ran after it."""
    work = tmp_path_factory.mktemp("deployments")
    marks("FLUSHDB")
    load = f"cd /; exec $(readlink -f /opt/celery/current)/bin/python -m deploy_load {TASKS} {PER_SECOND}"
    properties = "--property=User=celery --property=EnvironmentFile=/etc/celery/celery.env"
    output_of("worker1", f"systemd-run --unit=load --collect {properties} sh -c '{load}'")
    story = {"start": {"after": {host: (current(host), running(host)) for host in HOSTS}}}
    try:
        for release in ("2", "broken", "3"):
            began = time.monotonic()
            done = playbook("taskqueue.stack.deploy", celery_app_source=source(work, release))
            after = {host: (current(host), running(host)) for host in HOSTS}
            story[release] = {"done": done, "after": after, "seconds": time.monotonic() - began}
    finally:
        marks("SET", "enough", "1")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sent = int(marks("GET", "sent") or 0)
        if sent and int(marks("HLEN", "effects")) >= sent:
            break
        time.sleep(2)
    return story


@pytest.mark.parametrize("release", ["2", "3"])
def test_a_good_release_runs_everywhere_in_the_end(deployments: dict, release: str) -> None:
    assert deployments[release]["done"].returncode == 0
    before = deployments["start" if release == "2" else "broken"]["after"]
    for host in HOSTS:
        link, workers = deployments[release]["after"][host]
        assert link != before[host][0]
        assert all(link.rpartition("/")[2] in worker for worker in workers), workers
        assert set(workers).isdisjoint(before[host][1])


def test_a_broken_release_is_gone_back_from_and_goes_no_further(deployments: dict) -> None:
    done = deployments["broken"]["done"]
    before, after = deployments["2"]["after"], deployments["broken"]["after"]
    assert done.returncode != 0
    # The worker's own journal, and what was put back.
    assert "the release is broken: its neighbour cannot be reached" in done.stdout
    assert f"worker1 was put back: release {before['worker1'][0].rpartition('/')[2]}" in done.stdout
    assert {host: link for host, (link, _workers) in after.items()} == {host: link for host, (link, _workers) in before.items()}
    # On the first host one worker had to be started again; the others never noticed, nor did the second host.
    assert after["worker1"][1][1:] == before["worker1"][1][1:]
    assert after["worker1"][1][0] != before["worker1"][1][0]
    assert after["worker2"] == before["worker2"]


def test_no_task_is_lost_and_none_runs_twice(deployments: dict, capsys: pytest.CaptureFixture) -> None:
    expected = set(marks("SMEMBERS", "expected").splitlines())
    lines = marks("HGETALL", "effects").splitlines()
    effects = dict(zip(lines[::2], map(int, lines[1::2])))
    lost = expected - effects.keys()
    twice = {task: count for task, count in effects.items() if count != 1}
    seconds = ", ".join(f"{name} {story['seconds']:.0f} s" for name, story in deployments.items() if "seconds" in story)
    with capsys.disabled():
        print(f"\n{len(expected)} tasks while two hosts were redeployed three times ({seconds}): {len(lost)} lost, {len(twice)} run twice")
    assert len(expected) >= TASKS
    assert (lost, twice) == (set(), {})
    # Each of the releases has done a part of it, but the broken one.
    assert sorted(marks("HKEYS", "releases").split()) == ["1", "2", "3"]


def test_restart_loses_nothing_either(deployments: dict) -> None:
    before = {host: running(host) for host in HOSTS}
    done = playbook("taskqueue.stack.restart", "--limit=celery_worker", deploy_serial="100%")
    assert done.returncode == 0
    for host in HOSTS:
        assert set(running(host)).isdisjoint(before[host])
        assert [worker.split()[1] for worker in running(host)] == [worker.split()[1] for worker in before[host]]


def test_site_goes_back_on_every_host(deployments: dict, tmp_path: Path) -> None:
    """It moves all hosts at once, so a release that does not work reaches all of them before it is known."""
    before = {host: (current(host), [worker.split()[1] for worker in running(host)]) for host in HOSTS}
    done = playbook("taskqueue.stack.site", celery_app_source=source(tmp_path, "broken"))
    after = {host: (current(host), [worker.split()[1] for worker in running(host)]) for host in HOSTS}
    assert done.returncode != 0
    assert [host for host in HOSTS if f"{host} was put back: release" not in done.stdout] == []
    assert after == before
    assert playbook("taskqueue.stack.smoke_test").returncode == 0

"""The playbooks backup and restore: the tasks that waited when the copy was made run after it was put back."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import redis_cli, with_celery
from testinfra import get_hosts

INVENTORY = f"{os.environ['MOLECULE_PROJECT_DIRECTORY']}/.cache/testbed/{os.environ['MOLECULE_SCENARIO_NAME']}/inventory"
WAITING = 50
SEND = f"answer = [app.send_task('taskqueue_example.add', [number, 1]).id for number in range({WAITING})]"
RESULTS = "answer = [app.AsyncResult(task).get(timeout=60) for task in {}]"
# Lets Redis start as long as no former data lie aside: so it fails with the restored data, and runs with the former ones.
REFUSE = "[Service]\nExecStartPre=+/bin/sh -c '! ls -d /var/lib/redis/before-restore-*'\n"


@pytest.fixture(scope="module")
def hosts() -> dict:
    found = get_hosts(["ansible://redis"], ansible_inventory=INVENTORY)
    return {host.ansible.get_variables()["inventory_hostname"]: host for host in found}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups") / "redis"


@pytest.fixture(scope="module")
def play(directory: Path):
    def run(name: str, *arguments: str, **variables: object) -> tuple[int, str]:
        variables["redis_backup_directory"] = str(directory)
        command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars={json.dumps(variables)}", *arguments]
        done = subprocess.run([*command, f"taskqueue.stack.{name}"], capture_output=True, text=True, check=False)
        return done.returncode, " ".join(done.stdout.split())

    return run


def _worker(host, verb: str) -> None:
    with host.sudo():
        host.check_output(f"systemctl {verb} celery-worker@default")


def _redis_process(host) -> str:
    return next(line for line in redis_cli(host, {}, "INFO", "server") if line.startswith("process_id"))


def _former_data(host) -> str:
    with host.sudo():
        return host.run("ls -d /var/lib/redis/before-restore-* /var/lib/redis/restore-*").stdout


@pytest.fixture(scope="module")
def waiting(hosts: dict, directory: Path, play) -> dict:
    """Tasks that wait in the copy, and are gone from Redis."""
    tasks = {}
    for name, host in hosts.items():
        _worker(host, "stop")
        tasks[name] = with_celery(host, SEND)
    status, output = play("backup")
    assert status == 0, output
    for host in hosts.values():
        redis_cli(host, {}, "FLUSHALL")
        _worker(host, "start")
    return tasks


def test_the_copies_are_for_their_owner_alone(waiting: dict, directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    copies = sorted(directory.iterdir())
    assert [path.name.split("_")[0] for path in copies] == sorted(waiting)
    assert {stat.S_IMODE(path.stat().st_mode) for path in copies} == {0o600}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "redis_restore_replace_data_of is missing: name the hosts of the group redis"),
        ({"redis_restore_replace_data_of": "elsewhere"}, "redis_restore_replace_data_of names elsewhere"),
        ({"redis_restore_replace_data_of": "rhel9", "redis_restore_from": "/srv/none.rdb"}, "/srv/none.rdb on the control node: No such file"),
        ({"redis_restore_replace_data_of": "rhel9", "redis_restore_from": "newer.rdb"}, "Can't handle RDB format version 99. Nothing was changed"),
    ],
    ids=["no_confirmation", "no_such_host", "no_such_file", "newer_version"],
)
def test_what_cannot_be_restored_changes_nothing(waiting, hosts, tmp_path: Path, play, variables: dict, words: str) -> None:
    (tmp_path / "newer.rdb").write_bytes(b"REDIS0099")
    before = {name: _redis_process(host) for name, host in hosts.items()}
    if "redis_restore_from" in variables:
        variables = {**variables, "redis_restore_from": str(tmp_path / variables["redis_restore_from"])}
    status, output = play("restore", **variables)
    assert status != 0
    assert words in output
    assert "Stop the workers" not in output
    assert {name: _redis_process(host) for name, host in hosts.items()} == before
    assert [_former_data(host) for host in hosts.values()] == ["", ""]


def test_when_redis_does_not_come_up_the_former_data_return(waiting: dict, hosts: dict, play) -> None:
    marks = "/run/systemd/system/{}.service.d"
    units = {name: "redis-server" if host.exists("apt-get") else "redis" for name, host in hosts.items()}
    for name, host in hosts.items():
        redis_cli(host, {}, "SET", "former", "data")
        with host.sudo():
            host.check_output(f"mkdir -p {marks.format(units[name])}; printf %s > {marks.format(units[name])}/chaos.conf; systemctl daemon-reload", REFUSE)
    try:
        status, output = play("restore", redis_restore_replace_data_of=list(hosts))
    finally:
        for name, host in hosts.items():
            with host.sudo():
                host.check_output(f"rm -r {marks.format(units[name])}; systemctl daemon-reload")
    assert status != 0
    assert output.count("The former data are back") >= len(hosts), output
    for host in hosts.values():
        assert redis_cli(host, {}, "GET", "former") == ["data"]
        assert _former_data(host) == ""
        # In spite of the failure the workers are there again.
        assert with_celery(host, "answer = app.send_task('taskqueue_example.add', [1, 1]).get(timeout=60)") == 2


def test_the_waiting_tasks_run_after_a_restore(waiting: dict, hosts: dict, play) -> None:
    status, output = play("restore", redis_restore_replace_data_of=list(hosts))
    assert status == 0, output
    for name, host in hosts.items():
        assert with_celery(host, RESULTS.format(waiting[name])) == [number + 1 for number in range(WAITING)]
        # The former data, which had this key, are kept and are not in force.
        assert redis_cli(host, {}, "EXISTS", "former") == ["0"]
        assert "before-restore-" in _former_data(host)
        # It is the append-only file that a start loads.
        with host.sudo():
            host.check_output("systemctl restart %s", "redis-server" if host.exists("apt-get") else "redis")
        assert with_celery(host, RESULTS.format(waiting[name])) == [number + 1 for number in range(WAITING)]

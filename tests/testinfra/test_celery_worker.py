"""The workers, as a user would look at them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from conftest import VENV, exposure, redis_cli, result, send, with_celery, workers

testinfra_hosts = ["ansible://celery_worker"]


def _units(variables: dict) -> list[str]:
    return [f"celery-worker@{node.split('@')[0]}.service" for node in workers(variables)]


def test_services_run_and_start_at_boot(host, variables):
    for unit in _units(variables):
        assert host.service(unit).is_running
        assert host.service(unit).is_enabled


def test_runs_as_a_system_user_who_cannot_log_in(host, variables):
    user = host.user("celery")
    assert user.uid < 1000
    assert user.shell == "/usr/sbin/nologin"
    for unit in _units(variables):
        process = host.service(unit).systemd_properties["MainPID"]
        assert host.check_output(f"stat --format=%U /proc/{process}") == "celery"


def test_python_is_one_that_celery_supports(host, variables):
    version = host.check_output(f"{VENV}/python -c 'import sys; print(*sys.version_info[:2], sep=\".\")'")
    celery = host.check_output(f"{VENV}/python -c 'import celery; print(celery.__version__)'")
    assert (version, celery) == ("3.9", "5.6.3") if variables["testbed_image"] == "debian11" else celery == "5.7.0"
    if variables["testbed_image"] in ("rhel9", "rocky9", "ubi9"):
        assert version == "3.11"


def test_credentials_are_for_root_and_the_workers_alone(host):
    with host.sudo():
        file = host.file("/etc/celery/celery.env")
        assert (file.user, file.group, file.mode) == ("root", "celery", 0o640)
    with host.sudo("nobody"):
        assert host.run("cat /etc/celery/celery.env").failed


def test_the_workers_cannot_change_what_they_run(host):
    with host.sudo("celery"):
        assert host.run("find -L /opt/celery/current -writable -not -type l").stdout == ""


def test_no_password_in_units_or_command_lines(host):
    encoded = urlsplit(with_celery(host, "answer = app.conf.broker_url")).password
    if encoded:
        with host.sudo():
            seen = host.check_output("systemctl cat 'celery-worker@*'; systemctl show 'celery-worker@*'; ps -eo args")
        assert encoded not in seen
        assert unquote(encoded) not in seen


def test_a_task_comes_back_from_each_worker(host, variables):
    sums = with_celery(
        host,
        "from celery.utils.nodenames import worker_direct\n"
        "def add(name): return app.send_task('taskqueue_example.add', [2, 3], queue=worker_direct(name))\n"
        f"answer = [task.get(timeout=60) for task in [add(name) for name in {workers(variables)!r}]]",
    )
    assert sums == [5] * len(workers(variables))


def test_a_task_comes_back_by_its_ordinary_queue(host):
    assert with_celery(host, "answer = app.send_task('taskqueue_example.echo', ['hello']).get(timeout=20)") == "hello"


def test_a_failing_task_says_why(host):
    code = "answer = repr(app.send_task('taskqueue_example.fail', ['on purpose']).get(timeout=20, propagate=False))"
    assert with_celery(host, code) == "RuntimeError('on purpose')"


def test_the_result_is_in_redis(host, variables):
    task = send(host, "taskqueue_example.add", 20, 22, worker=workers(variables)[0])
    assert result(host, task) == 42
    stored = with_celery(host, f"answer = app.backend.client.get('celery-task-meta-{task}').decode()")
    assert '"result": 42' in stored
    own = variables["inventory_hostname"] in variables["groups"]["redis"]
    if own and variables.get("celery_app_redis_host", variables["inventory_hostname"]) == variables["inventory_hostname"]:
        assert redis_cli(host, variables, "EXISTS", f"celery-task-meta-{task}") == ["1"]


def test_a_warm_stop_lets_running_tasks_finish_and_a_start_ends_when_they_consume(host, variables):
    """All workers side by side, which takes the time of one."""
    units = " ".join(_units(variables))
    tasks = with_celery(
        host,
        "from celery.utils.nodenames import worker_direct\n"
        f"answer = [app.send_task('taskqueue_example.sleep', [4], queue=worker_direct(name)).id for name in {workers(variables)!r}]",
    )
    with host.sudo():
        for task in tasks:
            # By the journal, as a worker of the pool solo answers no questions while a task runs.
            host.check_output(
                f"timeout 30 sh -c \"until journalctl --quiet --unit='celery-worker@*' --grep='{task}.*received'; do sleep 0.1; done\""
            )
        host.check_output(f"systemctl stop {units}")
        stopped = [host.service(unit).systemd_properties for unit in _units(variables)]
        status = host.check_output(f"systemctl start {units} && systemctl show --property=StatusText {units}")
    assert {(unit["ActiveState"], unit["Result"]) for unit in stopped} == {("inactive", "success")}
    assert set(status.split("\n")) - {""} == {"StatusText=Consuming"}
    # Without the warm stop the results would never come, or be WorkerLostError.
    assert with_celery(host, f"answer = [app.AsyncResult(task).get(timeout=2) for task in {tasks!r}]") == [4] * len(tasks)


def test_systemd_locks_them_in(host, variables):
    for unit in _units(variables):
        assert exposure(host, unit) <= 2.0


def test_the_journal_follows_a_task_by_its_id(host, variables):
    worker, unit = workers(variables)[0], _units(variables)[0]
    task = send(host, "taskqueue_example.add", 1, 2, worker=worker)
    assert result(host, task) == 3
    with host.sudo():
        journal = host.check_output(f"journalctl --quiet --output=cat --unit={unit} --grep={task}")
    assert f"Task taskqueue_example.add[{task}] received" in journal
    assert f"Task taskqueue_example.add[{task}] succeeded" in journal

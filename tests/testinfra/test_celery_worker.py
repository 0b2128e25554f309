"""The workers, as a user would look at them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from conftest import VENV, redis_cli, result, send, with_celery, workers

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
    for worker in workers(variables):
        task = send(host, "taskqueue_example.add", 2, 3, worker=worker)
        assert result(host, task) == 5


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


def test_a_warm_stop_lets_the_running_task_finish(host, variables):
    for worker, unit in zip(workers(variables), _units(variables)):
        task = send(host, "taskqueue_example.sleep", 4, worker=worker)
        active = (
            "import time\n"
            "for _ in range(50):\n"
            f"    answer = any(t['id'] == {task!r} for t in (app.control.inspect([{worker!r}]).active() or {{}}).get({worker!r}, []))\n"
            "    if answer: break\n"
            "    time.sleep(0.1)\n"
        )
        assert with_celery(host, active), "the task did not start"
        with host.sudo():
            host.check_output(f"systemctl stop {unit}")
            assert not host.service(unit).is_running
            properties = host.service(unit).systemd_properties
            host.check_output(f"systemctl start {unit}")
        assert properties["Result"] == "success"
        # Without the warm stop the result would never come, or be WorkerLostError.
        assert result(host, task, timeout=2) == 4

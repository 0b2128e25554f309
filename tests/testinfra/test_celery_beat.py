"""The scheduler, as a user would look at it."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

from conftest import VENV, exposure, with_celery

testinfra_hosts = ["ansible://celery_beat"]

UNIT = "celery-beat.service"


def _executed(host, task: str) -> int:
    """How often the workers have started a task since they run."""
    return with_celery(
        host,
        "stats = app.control.inspect(timeout=5).stats() or {}\n"
        f"answer = sum(worker['total'].get({task!r}, 0) for worker in stats.values())",
    )


def _wait_for(host, task: str, count: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while _executed(host, task) < count:
        assert time.monotonic() < deadline, f"{task} was not run {count} times within {seconds} s"
        time.sleep(1)


def _runs(host, entry: str) -> int:
    """How often an entry was sent, by the state on disk. Beat may hold a lock on it."""
    code = f"import shelve; print(shelve.open('/var/lib/celery-beat/schedule', 'r')['entries'][{entry!r}].total_run_count)"
    with host.sudo("celery"):
        return int(host.check_output(f"cd /; {VENV}/python -c %s", code))


def test_service_runs_and_starts_at_boot(host):
    assert host.service(UNIT).is_running
    assert host.service(UNIT).is_enabled


def test_is_the_only_scheduler_of_the_inventory(host, variables):
    assert variables["groups"]["celery_beat"] == [variables["inventory_hostname"]]


def test_sandbox(host):
    assert exposure(host, UNIT) <= 2.0


def test_schedule_is_for_root_and_celery_alone(host):
    with host.sudo():
        file = host.file("/etc/celery/celery-beat.env")
        assert (file.user, file.group, file.mode) == ("root", "celery", 0o640)
    with host.sudo("nobody"):
        assert host.run("cat /etc/celery/celery-beat.env").failed


def _sent(host, entry: str) -> list[datetime]:
    """When beat sent an entry, by its own words in the journal."""
    with host.sudo():
        journal = host.check_output(f"journalctl --unit={UNIT} --output=cat --no-pager --grep='Sending due task {entry} '")
    return [datetime.strptime(found, "%Y-%m-%d %H:%M:%S,%f") for found in re.findall(r"\[([0-9-]+ [0-9:,]+): INFO", journal)]


def test_each_task_is_sent_at_its_time_and_once_also_over_a_restart(host, variables):
    (name, entry), = ((name, entry) for name, entry in variables["celery_beat_schedule"].items() if isinstance(entry["schedule"], int))
    _wait_for(host, entry["task"], 3)
    with host.sudo():
        host.check_output(f"systemctl stop {UNIT}")
        runs, before = _runs(host, name), _executed(host, entry["task"])
        host.check_output(f"systemctl start {UNIT}")
    assert runs >= 3
    _wait_for(host, entry["task"], before + 3)
    times = _sent(host, name)
    assert len(times) >= 6
    # Late at times, as beat sleeps in between and machines are busy, but never early, which the second of a pair would be.
    assert min(later - earlier for earlier, later in zip(times, times[1:])).total_seconds() > entry["schedule"] / 2
    with host.sudo():
        host.check_output(f"systemctl stop {UNIT}")
        again = _runs(host, name)
        host.check_output(f"systemctl start {UNIT}")
    # It went on counting: the state on disk has survived.
    assert again > runs


def test_crontab_of_the_inventory_is_what_beat_goes_by(host, variables):
    crontabs = {name: entry["schedule"] for name, entry in variables["celery_beat_schedule"].items() if isinstance(entry["schedule"], dict)}
    assert crontabs
    code = (
        "import json, os, shlex\n"
        "variables = shlex.split(open('/etc/celery/celery-beat.env').read(), comments=True)\n"
        "os.environ.update(variable.split('=', 1) for variable in variables)\n"
        "from taskqueue_stack import app\n"
        f"fields = {{name: app.conf.beat_schedule[name]['schedule'] for name in {list(crontabs)}}}\n"
        "print(json.dumps({name: {part: getattr(field, '_orig_' + part) for part in ('minute', 'hour', 'day_of_week')} "
        "for name, field in fields.items()}))"
    )
    with host.sudo("celery"):
        seen = json.loads(host.check_output(f"cd /; {VENV}/python -c %s", code).splitlines()[-1])
    assert seen == crontabs

"""Disk full, memory full: Redis refuses new tasks in its own words, keeps those it has, and takes new ones when there is room again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import redis_cli, with_celery

testinfra_hosts = ["ansible://redis"]

# Sends until it is refused, or at most so many. What was sent is counted when Redis has said so.
SEND = """
answer = dict(sent=0, refusal="")
for number in range(%d):
    try:
        app.send_task("taskqueue_example.echo", ["x" * %d], queue="waiting", retry=False)
    except Exception as error:
        answer["refusal"] = repr(error)
        break
    answer["sent"] += 1
"""
BACK = """
import time
deadline = time.monotonic() + 60
while True:
    try:
        answer = app.send_task("taskqueue_example.echo", ["there again"], retry=False).get(timeout=10)
        break
    except Exception:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.5)
"""


def _send(host, at_most: int, size: int) -> dict:
    return with_celery(host, SEND % (at_most, size))


def _info(host, variables, section: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in redis_cli(host, variables, "INFO", section) if ":" in line)


@pytest.fixture
def service(host) -> str:
    return "redis-server" if host.exists("apt-get") else "redis"


@pytest.fixture
def small_disk(host, variables, service) -> Iterator[str]:
    """The data directory on a file system of 16 MB; the path of a file that may fill it."""
    place = "/var/lib/redis"
    steps = f"systemctl stop {service}; mount -t tmpfs -o size=16m,mode=0750,uid=$(id -u redis),gid=$(id -g redis) tmpfs {place}"
    with host.sudo():
        host.check_output(f"{steps} && systemctl start {service}")
    yield f"{place}/filler"
    with host.sudo():
        host.check_output(f"systemctl stop {service}; umount {place} && systemctl start {service}")
    with_celery(host, BACK)


def test_a_full_disk(host, variables, service, small_disk):
    kept = _send(host, 200, 1000)["sent"]
    with host.sudo():
        host.run(f"dd if=/dev/zero of={small_disk} bs=64k")
    full = _send(host, 2000, 10000)
    assert "MISCONF" in full["refusal"] and "No space left on device" in full["refusal"], full
    kept += full["sent"]

    with host.sudo():
        host.check_output(f"rm {small_disk}")
    assert with_celery(host, BACK) == "there again"
    assert _info(host, variables, "persistence")["aof_last_write_status"] == "ok"
    kept += _send(host, 10, 1000)["sent"]
    assert redis_cli(host, variables, "LLEN", "waiting") == [str(kept)]

    with host.sudo():
        host.check_output(f"systemctl stop {service}")
        checked = host.check_output("redis-check-aof $(ls /var/lib/redis/appendonlydir/*.manifest /var/lib/redis/appendonly.aof 2>/dev/null)")
        assert "is valid" in checked, checked
        host.check_output(f"systemctl start {service}")
    assert with_celery(host, BACK) == "there again"
    assert redis_cli(host, variables, "LLEN", "waiting") == [str(kept)]
    print(f"{variables['inventory_hostname']}: {kept} tasks sent before, during and after the full disk, all of them there: {full['refusal']}")


def test_full_memory(host, variables):
    limit = int(_info(host, variables, "memory")["used_memory"]) + 4 * 1024**2
    before = int(redis_cli(host, variables, "LLEN", "waiting")[0])
    usual = redis_cli(host, variables, "CONFIG", "GET", "maxmemory")[1]
    redis_cli(host, variables, "CONFIG", "SET", "maxmemory", str(limit))
    try:
        full = _send(host, 2000, 10000)
        assert "command not allowed when used memory > 'maxmemory'" in full["refusal"], full
        assert redis_cli(host, variables, "LLEN", "waiting") == [str(before + full["sent"])]
        assert _info(host, variables, "stats")["evicted_keys"] == "0"
    finally:
        redis_cli(host, variables, "CONFIG", "SET", "maxmemory", usual)
    assert _send(host, 10, 1000) == {"sent": 10, "refusal": ""}
    assert with_celery(host, BACK) == "there again"
    redis_cli(host, variables, "DEL", "waiting")
    print(f"{variables['inventory_hostname']}: {full['sent']} tasks fitted, none evicted: {full['refusal']}")

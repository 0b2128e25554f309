"""Users of Redis: who there is, what the one for Celery may do, and that it needs no more."""

from __future__ import annotations

import pytest
from conftest import flavor, redis_cli, with_celery, workers

testinfra_hosts = ["ansible://redis"]

NO_PING = "NOPERM this user has no permissions to run the 'ping' command"
# What a worker, a producer, beat and a monitor do with Redis, apart from what every test does.
EXERCISE = """
import time
from celery import chord, group
from celery.beat import Scheduler
from celery.result import GroupResult
from celery.utils.nodenames import worker_direct

def sig(name, *args, **options):
    return app.signature('taskqueue_example.' + name, args, **options)

own = worker_direct({worker!r}).name
answer = {{}}

task = sig('succeed_after', 2).apply_async(queue=own)
answer['retries'] = task.get(timeout=30)
task.forget()

answer['chord'] = chord([sig('add', n, n, queue=own) for n in range(3)])(sig('echo', queue=own)).get(timeout=30)
several = group(sig('add', n, 1, queue=own) for n in range(3)).apply_async()
several.save()
# Celery 5.6 tells the first object of a result alone that it has come, so the first has to go.
name, several = several.id, None
restored = GroupResult.restore(name, app=app)
answer['group'] = restored.get(timeout=30)
restored.delete()
failing = chord([sig('fail', queue=own)])(sig('echo', queue=own))
answer['failed chord'] = type(failing.get(timeout=30, propagate=False)).__name__

answer['eta'] = sig('echo', 'later').apply_async(queue=own, countdown=1).get(timeout=30)
answer['priority'] = [sig('echo', n).apply_async(queue=own, priority=n).get(timeout=30) for n in (3, 6, 9)]

inspect = app.control.inspect([{worker!r}], timeout=5)
answer['inspect'] = all((inspect.ping(), inspect.stats(), inspect.active_queues(), inspect.scheduled(), inspect.registered()))
revoked = sig('echo', 'never').apply_async(queue=own, countdown=2)
app.control.revoke(revoked.id, reply=True, timeout=5)
answer['revoked'] = type(revoked.get(timeout=30, propagate=False)).__name__
app.control.enable_events(destination=[{worker!r}], reply=True)

def seen(event):
    answer['events'] = True
    receiver.should_stop = True

with app.connection_for_read() as connection:
    receiver = app.events.Receiver(connection, handlers={{'*': seen}})
    receiver.capture(limit=None, timeout=60)

app.conf.beat_schedule = {{'often': {{'task': 'taskqueue_example.echo', 'schedule': 0.1, 'args': ['beat'], 'options': {{'queue': own}}}}}}
scheduler = Scheduler(app)
scheduler.setup_schedule()
time.sleep(0.2)
scheduler.tick()
scheduler.close()

for priority in (0, 9):
    sig('echo', 'purged').apply_async(queue={queue!r}, priority=priority)
with app.connection_for_write() as connection:
    answer['purged'] = app.amqp.queues.new_missing({queue!r})(connection.default_channel).purge()
"""
EXERCISED = {
    "retries": 2,
    "chord": [0, 2, 4],
    "group": [1, 2, 3],
    "failed chord": "ChordError",
    "eta": "later",
    "priority": [3, 6, 9],
    "inspect": True,
    "revoked": "TaskRevokedError",
    "events": True,
    "purged": 2,
}


@pytest.fixture
def celery(variables) -> tuple[str, str]:
    """The login of the user for Celery."""
    if not variables.get("redis_celery_user"):
        pytest.skip("no user for Celery in this inventory")
    return variables["redis_celery_user"], variables["redis_celery_password"]


def worker_host(host, variables):
    """A host whose workers use this Redis, and its variables."""
    for name in variables["groups"]["celery_worker"]:
        other = host.get_host(f"ansible://{name}", ansible_inventory=host.backend.ansible_inventory)
        found = other.ansible.get_variables()
        own = name if name in variables["groups"]["redis"] else variables["groups"]["redis"][0]
        if found.get("celery_app_redis_host", own) == variables["inventory_hostname"]:
            return other, found
    pytest.skip("no worker of this inventory uses this Redis")


def refused(host, variables, login: tuple[str, str], *command: str) -> bool:
    """Whether the answer is that this user has no right to it. Of a script, Redis 6 tells so in the words of Lua."""
    return "NOPERM" in (redis_cli(host, variables, *command, login=login) or [""])[0]


def test_users_are_the_inventory_s_and_no_others(host, variables):
    names = {variables.get("redis_celery_user"), variables.get("redis_admin_user")} - {None}
    names |= {user["name"] for user in variables.get("redis_users", []) if user.get("state") != "absent"}
    assert set(redis_cli(host, variables, "ACL", "USERS")) == {"default"} | names


def test_no_password_can_be_read_in_the_acl_file(host, variables, celery):
    with host.sudo():
        file = host.file(f"/etc/{flavor(variables)}/users.acl")
        conf = host.file(f"/etc/{flavor(variables)}/{flavor(variables)}.conf")
        assert (file.user, file.group, file.mode) == (conf.user, conf.group, 0o640)
        content = file.content_string
    assert content.startswith("user default ")
    passwords = [password for user in variables["redis_users"] for password in user.get("passwords", [])] + [celery[1]]
    assert [password for password in passwords if password in content] == []


def test_each_password_of_a_user_is_valid(host, variables, celery):
    for user in variables["redis_users"]:
        for password in user.get("passwords", []) if user.get("enabled", True) else []:
            assert redis_cli(host, variables, "PING", login=(user["name"], password)) in (["PONG"], [NO_PING.format(user["name"])])


def test_a_hash_is_as_good_as_a_password_and_a_locked_user_has_none(host, variables):
    names = {user["name"] for user in variables.get("redis_users", [])}
    if not {"hashed", "locked"} <= names:
        pytest.skip("no such users in this inventory")
    assert redis_cli(host, variables, "PING", login=("hashed", "s3cure-hashed-pass")) == ["PONG"]
    assert redis_cli(host, variables, "AUTH", "locked", "s3cure-locked-pass", authenticate=False)[0].startswith("WRONGPASS")


def test_the_default_user_can_be_off(host, variables):
    if variables.get("redis_default_user_enabled", True):
        pytest.skip("it is on in this inventory")
    answer = redis_cli(host, variables, "AUTH", "default", variables["redis_password"], authenticate=False)
    assert answer[0].startswith("WRONGPASS")


def test_the_acl_file_says_what_is_in_force(host, variables, celery):
    """What the play told the running server, user by user, is what another start or ACL LOAD would make of the file."""

    def rules() -> list[list[str]]:
        # Up to 6.2, commands come in any order.
        return [sorted(line.replace("sanitize-payload ", "").split()) for line in redis_cli(host, variables, "ACL", "LIST")]

    before = rules()
    assert redis_cli(host, variables, "ACL", "LOAD") == ["OK"]
    assert rules() == before


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET maxmemory",
        "CONFIG SET maxmemory 0",
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "EVAL return(1) 0",
        "EVAL return(redis.call('get',KEYS[1])) 1 shop:secret",
        "SCRIPT FLUSH",
        "ACL LIST",
        "INFO",
        "SHUTDOWN",
        "REPLICAOF 203.0.113.7 6379",
        "SELECT 7",
        "GET shop:secret",
        "SET shop:secret 1",
        "DEL shop:secret",
        "LPUSH shop:queue 1",
        "GET celerybrate",
    ],
)
def test_celery_may_not(host, variables, celery, command):
    assert refused(host, variables, celery, *command.split(" "))


def test_celery_reaches_no_other_keys_by_its_scripts(host, variables, celery):
    shop = ("shop", variables["redis_users"][-1]["passwords"][0])
    assert redis_cli(host, variables, "SET", "shop:secret", "the shop's own", login=shop) == ["OK"]
    for script, keys in (("return redis.call('get', KEYS[1])", ["1", "shop:secret"]), ("return redis.call('get', 'shop:secret')", ["0"])):
        (sha,) = redis_cli(host, variables, "SCRIPT", "LOAD", script, login=celery)
        answer = " ".join(redis_cli(host, variables, "EVALSHA", sha, *keys, login=celery))
        assert "the shop's own" not in answer
        assert "NOPERM" in answer or "permission" in answer or "can't access" in answer, answer
    assert redis_cli(host, variables, "GET", "shop:secret", login=shop) == ["the shop's own"]
    assert refused(host, variables, shop, "GET", "celery")


def test_channels_are_closed_to_others(host, variables, celery):
    if redis_cli(host, variables, "INFO", "server")[1].startswith("redis_version:6.0"):
        pytest.skip("6.0 has no rules for channels")
    assert refused(host, variables, celery, "PUBLISH", "shop:news", "x")
    assert refused(host, variables, ("shop", variables["redis_users"][-1]["passwords"][0]), "PUBLISH", "/2.celery.pidbox", "x")


def test_celery_needs_no_more(host, variables, celery):
    """Everything that Celery does with Redis, a reconnect included, and nothing of it was refused."""
    elsewhere, its_variables = worker_host(host, variables)
    worker = workers(its_variables)[0]
    assert redis_cli(host, variables, "ACL", "LOG", "RESET") == ["OK"]
    for kind in ("normal", "pubsub"):
        redis_cli(host, variables, "CLIENT", "KILL", "TYPE", kind)
    (queue,) = variables["redis_celery_extra"]["queues"]
    assert with_celery(elsewhere, EXERCISE.format(worker=worker, queue=queue)) == EXERCISED
    assert redis_cli(host, variables, "ACL", "LOG") in ([], [""])

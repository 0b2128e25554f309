# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Works out which keys, channels and commands of Redis the Celery of an inventory needs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_celery_rights
short_description: Find the keys, channels and commands of Redis that Celery needs, and no others
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Computes the least that workers, beat, producers and monitors need of a Redis that is their broker and result backend, from
    the same variables by which the roles run them.
  - Known by measurement with Celery 5.6 and 5.7 (tasks, retries, chords, ETA, priorities, C(inspect), C(revoke), C(purge), beat,
    reconnects), each of which leaves C(ACL LOG) empty.
  - What an application says in its own code is not known here, and goes into O(extra).
options:
  _input:
    description:
      - The variables of each host that runs Celery. Of these C(celery_worker_instances), C(celery_app_settings), C(celery_app_routes),
        C(celery_app_priority_steps) and C(celery_app_redis_db) matter.
    type: list
    elements: dict
    required: true
  version:
    description: Version of Redis, for example V(7.0.15).
    type: str
    required: true
  extra:
    description: More than that, in lists C(queues), C(keys), C(channels) and C(commands).
    type: dict
    default: {}
positional: version
"""

EXAMPLES = r"""
- name: Write the ACL file of a Redis for the inventory's workers
  ansible.builtin.debug:
    msg: "{{ [{'name': 'celery', 'passwords': [vault_celery_password]} | combine(rights)] | taskqueue.stack.redis_acl('7.0.15') }}"
  vars:
    rights: "{{ groups['celery_worker'] | map('extract', hostvars) | taskqueue.stack.redis_celery_rights('7.0.15') }}"
"""

RETURN = r"""
_value:
  description: Lists C(keys), C(channels) and C(commands), as P(taskqueue.stack.redis_acl#filter) takes them.
  type: dict
"""

import re
from collections.abc import Iterable, Mapping

COMMANDS = (
    # The connection. SELECT comes with the database, see below.
    "ping client|setname multi exec watch unwatch",
    # Queues: lists. LRANGE and LREM are those of the smoke test, which takes back what nobody consumed.
    "lpush rpush brpop rpop llen lrange lrem exists del expire pexpire",
    # Bindings of queues to exchanges, and tasks that a worker has taken and not acknowledged.
    "sadd srem smembers zadd zrem zrange zrangebyscore zrevrangebyscore zcard hset hget hdel hlen time",
    # Results, and chords, which count theirs in a script.
    "get mget set setex incrby sismember zcount evalsha script|exists script|load",
    # Remote control, events, and waiting for results.
    "publish subscribe unsubscribe psubscribe punsubscribe",
)
# What kombu's Redis transport calls things (class Channel in kombu/transport/redis.py).
SEPARATOR = "\x06\x16"
UNACKED = ("unacked", "unacked_index", "unacked_mutex")
VARIABLES = ("celery_worker_instances", "celery_app_settings", "celery_app_routes", "celery_app_priority_steps", "celery_app_redis_db")


def escaped(name: str) -> str:
    """A name as a pattern that matches it alone. Redis's rules are printable and without spaces: "?" stands for what is not."""
    return re.sub(r"[^!-~]", "?", re.sub(r"([\\*?[\]])", r"\\\1", name))


def routed_queues(routes: object) -> set[str]:
    """The queues that task_routes sends to."""
    if isinstance(routes, Mapping):
        return {str(to["queue"] if isinstance(to, Mapping) else to) for to in routes.values() if not isinstance(to, Mapping) or "queue" in to}
    if isinstance(routes, (list, tuple)):
        return set().union(*(routed_queues(dict([route]) if isinstance(route, (list, tuple)) and len(route) == 2 else route) for route in routes))
    return set()


def queues_of(host: Mapping, settings: Mapping) -> set[str]:
    """The queues that a host's workers consume, and those that its settings name."""
    found = {settings.get("task_default_queue") or "celery"} | routed_queues(settings.get("task_routes")) | routed_queues(host.get("celery_app_routes"))
    if isinstance(settings.get("task_queues"), Mapping):
        found |= set(settings["task_queues"])
    for worker in host.get("celery_worker_instances") or []:
        found |= set(worker.get("queues") or [])
    return {str(name) for name in found}


def rights_of(host: Mapping, more_queues: Iterable[str]) -> tuple[list[str], list[str]]:
    """Keys and channels for the Celery of one host."""
    settings = host.get("celery_app_settings") or {}
    options = settings.get("broker_transport_options") or {}
    prefix = str(options.get("global_keyprefix") or "")
    control, events = settings.get("control_exchange") or "celery", settings.get("event_exchange") or "celeryev"
    steps = [int(step) for step in host.get("celery_app_priority_steps") or options.get("priority_steps") or [9]]
    # A queue has a list of its own for each priority but the first.
    priority = escaped(str(options.get("sep") or SEPARATOR)) + "[0-9]"
    endings = ["", priority] + ([priority + "[0-9]"] if max(steps) > 9 else []) + ([priority + "[0-9][0-9]"] if max(steps) > 99 else [])

    names = [escaped(name) for name in sorted(queues_of(host, settings) | set(more_queues))]
    # Each worker's own queue (worker_direct, celery/utils/nodenames.py), and its mailbox for remote control.
    names += (["*.dq2"] if settings.get("worker_direct", True) else []) + [f"*.{escaped(control)}.pidbox"]
    keys = [name + ending for name in names for ending in endings]
    keys += [escaped(str(options.get(f"{name}_key") or name)) for name in UNACKED]
    # A worker with a visibility timeout of its own (celery-worker.service.j2).
    apart = [str(worker.get("name")) for worker in host.get("celery_worker_instances") or [] if worker.get("visibility_timeout")]
    keys += [escaped(f"{name}.{worker}") for worker in apart for name in UNACKED]
    keys += ["_kombu.binding*", escaped(settings.get("event_queue_prefix") or "celeryev") + ".*"]

    fanout = options.get("fanout_prefix", True)
    start = prefix + (fanout if isinstance(fanout, str) else "/{db}." if fanout else "")
    start = escaped(start.replace("{db}", str(host.get("celery_app_redis_db") or 0)))
    event = start + escaped(events)
    # A pattern that is subscribed to must stand among the rules as it is: workers listen to workers, monitors to everything.
    channels = [f"{start}{escaped(control)}.pidbox", f"{event}/worker.*", f"{event}/*"]
    if not options.get("fanout_patterns", True):
        channels[1:] = [event]

    results = results_prefix(settings) + "celery-task-meta-*", results_prefix(settings) + "celery-taskset-meta-*"
    # With a prefix, everything under it is Celery's.
    return [*([escaped(prefix) + "*"] if prefix else keys), *results], [*channels, *results]


def results_prefix(settings: Mapping) -> str:
    """What precedes the names of results (_add_global_keyprefix() in celery/backends/base.py)."""
    prefix = str((settings.get("result_backend_transport_options") or {}).get("global_keyprefix") or "")
    return escaped(prefix if not prefix or prefix[-1] in ":_-." else f"{prefix}_")


def redis_celery_rights(hosts: Iterable[Mapping], version: str, extra: Mapping | None = None) -> dict[str, list[str]]:
    """The rights that one user needs for the Celery of all these hosts."""
    release = tuple(map(int, re.findall(r"\d+", version)[:2]))
    more = extra or {}
    keys: list[str] = []
    channels: list[str] = []
    databases = set()
    for host in hosts or [{}]:
        wanted = {name: host.get(name) for name in VARIABLES}
        databases.add(int(wanted["celery_app_redis_db"] or 0))
        found = rights_of(wanted, more.get("queues") or [])
        keys, channels = keys + found[0], channels + found[1]
    commands = " ".join(COMMANDS).split()
    # redis-py says who it is and what it can do, and does not mind when Redis does not know the word. Before 7.0 Redis looks for the
    # right to any word first, and keeps a record of who lacks it; later ones refuse a rule for a word that they do not know.
    commands += ["client|setinfo"] if release >= (7, 2) else ["client|setinfo", "client|maint_notifications"] if release < (7, 0) else []
    # Clients select their database unless it is the first. Nobody needs another than theirs.
    commands += [f"select|{number}" for number in sorted(databases - {0})]
    rights = {
        "keys": keys + list(more.get("keys") or []),
        "channels": (channels + list(more.get("channels") or [])) if release >= (6, 2) else [],
        "commands": [f"+{command}" for command in commands] + list(more.get("commands") or []),
    }
    return {kind: list(dict.fromkeys(rules)) for kind, rules in rights.items()}


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict:
        return {"redis_celery_rights": redis_celery_rights}

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles read of other hosts, whatever else those hosts have among their variables.

Before ansible-core 2.19, what a template comes to is text that is read back as a literal. With a whole host's variables in it, each of them is
evaluated, and one without a literal form, a date, leaves it text.
"""

from __future__ import annotations

import datetime

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from jinja2 import Environment, nodes

from .templating import ROLES, evaluate, task, trusted

CELERY_APP = ("celery_app/defaults/main.yml", "celery_app/vars/main.yml")
REDIS = ("redis/defaults/main.yml", "redis/vars/main.yml")
SENTINEL = (*REDIS, "redis_sentinel/defaults/main.yml", "redis_sentinel/vars/main.yml")
GROUPS = {"redis": ["redis1", "redis2"], "redis_sentinel": ["redis1", "redis2", "worker1"], "celery_worker": ["worker1"]}
NOT_HERE = "{{ lookup('ansible.builtin.file', '/nonexistent/file') }}"
# Filters that make something else of what a host has. All others may pass it on.
OTHER = {"bool", "count", "int", "join", "length", "string", "taskqueue.stack.redis_celery_rights"}


def depth(node: nodes.Node, names: dict[str, int]) -> int:
    """How many keys lead from here to the value of a variable: two from hostvars, one from a host or several."""
    if isinstance(node, nodes.Name):
        return names.get(node.name, 0)
    if isinstance(node, (nodes.Getitem, nodes.Getattr)):
        number = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, int)
        return max(depth(node.node, names) - (not number), 0)
    if isinstance(node, nodes.Filter):
        given, name, args = depth(node.node, names), node.name, node.args
        if name == "map":
            if any(each.key == "attribute" for each in node.kwargs):
                return max(given - 1, 0)
            name, args = node.args[0].value, node.args[1:]
        if name == "extract":
            return max(depth(args[0], names) - len(args), 0)
        return 0 if name in OTHER else max([given, *(depth(each, names) for each in args)])
    if isinstance(node, nodes.CondExpr):
        return max(depth(each, names) for each in (node.expr1, node.expr2) if each)
    if isinstance(node, (nodes.Or, nodes.And, nodes.Add, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Call)):
        return max((depth(each, names) for each in node.iter_child_nodes()), default=0)
    return 0


def ends_in_hostvars(text: str) -> bool:
    """Whether it comes to something that holds all variables of a host."""
    names = {"hostvars": 2}
    for node in Environment().parse(text).find_all((nodes.For, nodes.Assign, nodes.Output)):
        if isinstance(node, nodes.Output):
            if any(depth(each, names) for each in node.nodes):
                return True
        elif isinstance(node, nodes.For):
            targets = [node.target] if isinstance(node.target, nodes.Name) else node.target.find_all(nodes.Name)
            names.update({each.name: depth(node.iter, names) for each in targets})
        elif isinstance(node.target, nodes.Name):
            names[node.target.name] = depth(node.node, names)
            # found.append(...)
            call = node.node
            if isinstance(call, nodes.Call) and isinstance(call.node, nodes.Getattr) and isinstance(call.node.node, nodes.Name):
                held = call.node.node.name
                names[held] = max(depth(each, names) for each in [call.node.node, *call.args])
    return False


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("{{ hostvars }}", True),
        ("{{ hostvars[name] | default({}) }}", True),
        ("{{ hostvars.get(name, {}) }}", True),
        ("{{ names | map('extract', hostvars) | selectattr('here', 'defined') | list }}", True),
        ("{{ (names | map('extract', hostvars) | list)[0] }}", True),
        ("{{ {'its': hostvars[name]} if name else {} }}", True),
        ("{% set found = [] %}{% for name in names %}{% set _ = found.append(hostvars[name]) %}{% endfor %}{{ found }}", True),
        ("{{ hostvars[name].port | default(1) }}", False),
        ("{{ (hostvars[name] | default({})).port | default(1) }}", False),
        ("{{ hostvars[name].get('port') }}", False),
        ("{{ names | map('extract', hostvars) | map(attribute='port', default=0) | list }}", False),
        ("{{ names | map('extract', hostvars, 'port') | list }}", False),
        ("{{ names | map('extract', hostvars) | list | length }}", False),
        ("{% set found = [] %}{% for its in names | map('extract', hostvars) %}{% set _ = found.append(its.port) %}{% endfor %}{{ found }}", False),
    ],
)
def test_what_ends_in_hostvars_is_known(text: str, ends: bool) -> None:
    assert ends_in_hostvars(text) is ends


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) and "hostvars" in value and ("{{" in value or "{%" in value) else []


def test_no_variable_holds_all_variables_of_a_host() -> None:
    files = [path for top in (ROLES, ROLES.parent / "playbooks") for path in top.rglob("*.yml")]
    found = [(path, text) for path in files for text in texts(yaml.safe_load(path.read_text(encoding="utf-8")))]
    assert len(found) > 20
    assert [f"{path}: {text}" for path, text in found if ends_in_hostvars(text)] == []


def hosts(**variables: object) -> dict:
    """An inventory in which the servers have these variables, and besides a date and something that cannot be evaluated here."""
    loader = DataLoader()
    inventory = InventoryManager(loader, sources="redis1,redis2,worker1,")
    for name in GROUPS["redis"]:
        inventory.get_host(name).vars.update(
            trusted({**variables, "installed": datetime.date(2026, 1, 1), "elsewhere": NOT_HERE}),
        )
    return {"groups": GROUPS, "hostvars": HostVars(inventory, VariableManager(loader=loader, inventory=inventory), loader)}


def test_workers_use_the_redis_of_the_inventory() -> None:
    its = {
        "redis_bind": ["0.0.0.0"], "redis_tls_port": 6380, "redis_password": "{{ 's3' ~ 'cret' }}", "redis_primary_name": "first",
        "redis_address": "192.0.2.1", "redis_tls_ca": "CA",
    }
    given = {**hosts(**its), "inventory_hostname": "worker1", "celery_app_redis_host": "redis1", "role_path": ""}
    found = evaluate("{{ __celery_app_redis }}", *CELERY_APP, **given)
    assert (found["host"], int(found["port"]), found["password"], found["username"]) == ("192.0.2.1", 6380, "s3cret", "")
    assert evaluate("{{ __celery_app_redis_bind }}", *CELERY_APP, **given) == ["0.0.0.0"]
    assert evaluate("{{ __celery_app_sentinel_options.master_name }}", *CELERY_APP, **given) == "first"
    # What nobody has written is as Redis has it.
    found = evaluate("{{ __celery_app_redis }}", *CELERY_APP, **{**given, **hosts(ansible_host="198.51.100.1")})
    assert (found["host"], int(found["port"]), found["password"], found["username"]) == ("198.51.100.1", 6379, "", "")


def test_a_password_that_a_worker_does_not_use_need_not_be_there() -> None:
    its = {"redis_celery_user": "celery", "redis_celery_password": "s3cret", "redis_password": NOT_HERE}
    given = {**hosts(**its), "inventory_hostname": "worker1", "celery_app_redis_host": "redis1", "role_path": ""}
    assert evaluate("{{ __celery_app_redis.username ~ ':' ~ __celery_app_redis.password }}", *CELERY_APP, **given) == "celery:s3cret"


@pytest.mark.parametrize(("host", "url"), [("", ""), ("elsewhere", ""), ("", "redis://elsewhere/0")])
def test_a_worker_without_a_redis_in_the_inventory_is_told_so(host: str, url: str) -> None:
    """By the role, and not by a variable that cannot be evaluated."""
    given = {**hosts(), "inventory_hostname": "worker1", "celery_app_redis_host": host, "celery_app_broker_url": url, "role_path": ""}
    assert int(evaluate("{{ __celery_app_redis.port }}", *CELERY_APP, **given)) == 6379
    assert evaluate("{{ __celery_app_redis.tls | bool }}", *CELERY_APP, **given) is False


def test_sentinels_speak_as_the_servers_do() -> None:
    given = hosts(redis_tls_port=6380, redis_tls_auth_clients=True)
    assert evaluate("{{ __redis_sentinel_tls | bool }}", *SENTINEL, **given) is True
    assert evaluate("{{ __redis_sentinel_tls_clients }}", *SENTINEL, **given) == "yes"
    assert evaluate("{{ __redis_sentinel_tls | bool }}", *SENTINEL, **hosts()) is False


@pytest.mark.parametrize(
    ("variables", "alone", "with_tls"), [({}, [], 0), ({"redis_replication": False, "redis_tls_port": 6380}, ["redis1", "redis2"], 2)],
)
def test_what_sentinels_cannot_watch_is_refused(variables: dict, alone: list[str], with_tls: int) -> None:
    known = task("redis_sentinel/tasks/assert.yml", "Refuse what cannot work or would not be safe")["vars"]
    given = {**{name: value for name, value in known.items() if name.startswith("__redis_sentinel_")}, **hosts(**variables)}
    assert evaluate("{{ __redis_sentinel_without_replication }}", *SENTINEL, **given) == alone
    assert int(evaluate("{{ __redis_sentinel_servers_with_tls }}", *SENTINEL, **given)) == with_tls


def test_servers_hear_what_the_others_have_found() -> None:
    info = {"primary": "redis1", "problem": "", "told": [{"name": "redis2"}]}
    given = {**hosts(__redis_replication_info=info), "redis_primary_name": "mymaster", "ansible_play_batch": ["redis2", "worker1"]}
    assert evaluate("{{ __redis_said }}", *REDIS, **given) == {"redis2": info}
    assert evaluate("{{ __redis_told }}", *REDIS, **given) == [{"name": "redis2"}]
    assert evaluate("{{ __redis_said }}", *REDIS, **{**given, **hosts()}) == {}

#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out which of several Redis servers is the primary."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_replication_info
short_description: Find out which of several Redis servers is the primary
version_added: "0.2.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Asks the Sentinels for the primary, or else the servers themselves, and changes nothing.
  - Where nobody knows of a primary yet, it is the first of O(nodes). Where the answers contradict each other, or this host's server
    would lose its data by following that one, RV(problem) says so.
  - Of Sentinels, those count that know of the latest failover, if they are a majority or the server that they name agrees.
  - This host's server is asked at home, where it listens by its file, when it is silent at its address in O(nodes). It may have to get that
    address, or a certificate that has not expired, first.
options:
  nodes:
    description: The servers that replicate each other, in the order of the inventory, this host's among them.
    type: list
    elements: dict
    required: true
    suboptions: &node
      name:
        description: Its name in the inventory.
        type: str
        required: true
      host:
        description: Name or address by which others reach it.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        required: true
  own:
    description: Which of O(nodes) this host is. Without it, nothing is said about this host.
    type: str
  sentinels:
    description: The Sentinels that watch them.
    type: list
    elements: dict
    default: []
    suboptions: *node
  primary_name:
    description: The name that Sentinels have for the primary.
    type: str
    default: mymaster
  path:
    description: Configuration file of this host's server, which is found by it. Passwords that it has are tried as well.
    type: path
    default: /etc/redis/redis.conf
  sentinel_path:
    description: Configuration file of this host's Sentinel, where there is one. Its password is tried as well.
    type: path
    default: /etc/redis/sentinel.conf
  told:
    description: What RV(told) is on other hosts. It counts where such a server does not answer here, or refuses the login.
    type: list
    elements: dict
    default: []
  version:
    description: The version that this host has or is going to have. It is handed on in the result.
    type: str
    default: ""
  wait:
    description: Seconds to wait until this host's server is the primary, or has all of the primary's data.
    type: int
    default: 0
extends_documentation_fragment:
  - taskqueue.stack.redis_peers
attributes:
  check_mode:
    support: full
    description: It only asks.
  diff_mode:
    support: none
    description: It only asks.
"""

EXAMPLES = r"""
- name: Find the primary
  taskqueue.stack.redis_replication_info:
    own: "{{ inventory_hostname }}"
    nodes:
      - {name: redis1, host: 192.0.2.1, port: 6379}
      - {name: redis2, host: 192.0.2.2, port: 6379}
    sentinels:
      - {name: redis1, host: 192.0.2.1, port: 26379}
    login_password: "{{ vault_redis_password }}"
  register: replication
"""

RETURN = r"""
primary:
  description: Name of the primary, one of O(nodes).
  returned: success
  type: str
  sample: redis2
source:
  description: Who said so, V(sentinels), V(servers), or V(inventory) when nobody knows of one yet.
  returned: success
  type: str
problem:
  description: Why nothing must be changed; empty when there is no reason.
  returned: success
  type: str
nodes:
  description:
    - What each server says of itself. Of one that C(answers), C(role), C(version), C(keys), and whom it follows, or how many follow it.
    - That of this host has C(at_home) and its present C(ports) where it answers at home and not at its address.
  returned: success
  type: list
  elements: dict
told:
  description: Of RV(nodes), this host's own where it answers.
  returned: with O(own)
  type: list
  elements: dict
agreeing:
  description: The Sentinels by whose word it is.
  returned: success
  type: list
  elements: str
has_data:
  description: Whether this host's server holds keys, or finds something to load when it starts.
  returned: with O(own)
  type: bool
role_to_set:
  description:
    - Whether this host's server has yet to be made what it is to be, and its file to say so (O(taskqueue.stack.redis_config#module:set_role)).
    - It is not where a replica follows another than the primary; that is for Sentinel to mend.
  returned: with O(own)
  type: bool
version:
  description: What O(version) said.
  returned: success
  type: str
in_step:
  description: Whether this host's server is the primary, or has all of the primary's data.
  returned: with O(own)
  type: bool
"""

import concurrent.futures
import time
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_client import RedisError
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_directives import parse, read
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_peers import (
    LOGIN_ARGUMENTS,
    NODE,
    NODES,
    Node,
    Peers,
    Word,
    addresses,
    ask,
    ask_at_home,
    find,
    hear,
    passwords_of,
    tls_files,
)
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_plan import has_data
from ansible_collections.taskqueue.stack.plugins.module_utils._redis_throwaway import stated


@dataclass(frozen=True)
class Stored:
    """What a server is going to be when it starts, by its file."""

    has_data: bool = False
    leader: tuple[str, int] | None = None


# Servers and Sentinels know each other by address and port.
MOVING = 'Where they are to get new ones, see "Move a set" in docs/high-availability.md.'


def decide(nodes: list[Node], seen: dict[str, dict], words: list[Word], watchers: int, name: str) -> tuple[str, str, str]:
    """Name of the primary, who said so, and what speaks against going on."""
    return by_sentinels(nodes, seen, words, watchers, name) if words else by_servers(nodes, seen, name)


def by_sentinels(nodes: list[Node], seen: dict[str, dict], words: list[Word], watchers: int, name: str) -> tuple[str, str, str]:
    """The latest word counts: one that was cut off, or was away, does not know of the last failover."""
    said = {word: find(nodes, *word.address) for word in words}
    latest = [word for word in words if word.epoch == max(each.epoch for each in words)]
    strangers = [word.address for word in latest if said[word] is None]
    if strangers:
        hosts = ", ".join(str(each) for each in nodes)
        return nodes[0].name, "sentinels", (
            f"the Sentinels have {strangers[0][0]} port {strangers[0][1]} as the primary {name}, which is none of the hosts with redis_primary_name "
            f"{name} in the group redis: {hosts}. Add that host, give these another redis_primary_name, or correct redis_address, redis_port or "
            f"redis_tls_port. {MOVING}"
        )
    chosen = said[latest[0]]
    me = seen[chosen.name]
    others = [word for word in latest if said[word] != chosen]
    if others:
        return chosen.name, "sentinels", (
            f"the Sentinel of {latest[0].by} has {chosen} as the primary {name}, and that of {others[0].by} has {said[others[0]]}. Mend the network between "
            f"the Sentinels, or run redis-cli -p 26379 sentinel remove {name} where it is wrong, and run this again."
        )
    agreeing = [word.by for word in words if said[word] == chosen]
    if not is_majority(len(agreeing), watchers) and not (me["answers"] and me["role"] == "primary"):
        return chosen.name, "sentinels", (
            f"{len(agreeing)} of {watchers} Sentinels can be asked ({', '.join(agreeing)}), by whose word the primary {name} is {chosen}, which does not "
            "answer as one: the others may know of a later failover. Start the Sentinels and servers that are away (systemctl start), and run this again."
        )
    rivals = [leader for leader in leaders_of(nodes, seen) if leader and leader != chosen and is_primary(seen[leader.name])]
    if rivals or (me["answers"] and me["role"] == "replica"):
        contrary = f"{rivals[0]} is a primary that others follow" if rivals else f"that one follows {me['primary_host']} port {me['primary_port']}"
        return chosen.name, "sentinels", (
            f"the Sentinels have {chosen} as the primary {name}, and {contrary}. A failover may be under way: wait half a minute, and run this again. If "
            "it stays so, run redis-cli replicaof HOST PORT && redis-cli config rewrite on the one that is not to be the primary."
        )
    return chosen.name, "sentinels", ""


def by_servers(nodes: list[Node], seen: dict[str, dict], name: str) -> tuple[str, str, str]:
    """Whom others follow; else who has data; else the inventory's first."""
    first = nodes[0].name
    strangers = [each for each in seen.values() if each["refuses"]]
    if strangers:
        return first, "servers", (
            f"{strangers[0]['name']} ({strangers[0]['host']} port {strangers[0]['port']}) answers and lets nobody in "
            f"({strangers[0]['error']}), so nobody knows who the primary is. Give its present password in redis_password, or stop it."
        )
    leaders = leaders_of(nodes, seen)
    if None in leaders:
        return first, "servers", astray(seen[leaders[None]], name)
    if len(leaders) > 1:
        return first, "servers", (
            f"the hosts with redis_primary_name {name} follow different primaries: {', '.join(sorted(node.name for node in leaders))}. Give the hosts of "
            "each primary a redis_primary_name of their own, or make one follow the other first (redis-cli replicaof HOST PORT && redis-cli config rewrite)."
        )
    with_keys = [node for node in nodes if is_primary(seen[node.name]) and seen[node.name]["keys"]]
    if leaders:
        leader, follower = next(iter(leaders.items()))
        losers = [node for node in with_keys if node != leader]
        # One with an empty queue can have been promoted, too; not one that nobody else can reach.
        rivals = losers or [node for node in nodes if node != leader and is_primary(seen[node.name]) and not seen[node.name]["at_home"]]
        problem = loses(seen[losers[0].name], leader.name) if losers else ""
        if rivals and not seen[leader.name]["answers"]:
            what, remedy = silence(seen[leader.name])
            problem = (
                f"{follower} follows {leader}, which {what}, and {rivals[0]} is a primary with {seen[rivals[0].name]['keys']} keys, so nobody knows "
                f"which is to be followed. {remedy.format(leader.name)}; or, where {rivals[0].name} was put in its place, run redis-cli replicaof "
                f"{rivals[0].host} {rivals[0].port} && redis-cli config rewrite on {follower}."
            )
        # Where it is away, it comes back, or Sentinel is about to choose another.
        return leader.name, "servers", problem
    if len(with_keys) > 1:
        return with_keys[0].name, "servers", (
            f"{' and '.join(node.name for node in with_keys)} are primaries with keys, and nobody knows which is to be followed. Run redis-cli flushall on "
            "those whose data may go (let workers empty their queues first), or give each a redis_primary_name of its own."
        )
    return (with_keys[0].name, "servers", "") if with_keys else (first, "inventory", "")


def objection(nodes: list[Node], own: str, primary: str, seen: dict[str, dict], stored: Stored, words: list[Word], watchers: int, name: str) -> str:
    """Why this host must not be given its part: it would lose what is not known to be a copy."""
    me = seen[own]
    what, remedy = silence(me)
    leader = find(nodes, *stored.leader) if stored.leader else None
    if own == primary:
        if me["answers"] or words or not stored.leader:
            return ""
        return (
            f"{own} would be the primary and {what}, and its file says that it follows {stored.leader[0]} port "
            f"{stored.leader[1]}, so nobody knows who the primary was. Start the servers as they are (systemctl start), and run this again."
        )
    if me["answers"] and me["role"] == "replica":
        return "" if find(nodes, me["primary_host"], me["primary_port"]) else astray(me, name)
    # A primary of before, which comes back. Nobody but a majority can have put another in its place.
    if is_majority(sum(any(find(nodes, *address) == find(nodes, me["host"], me["port"]) for address in word.replicas) for word in words), watchers):
        return ""
    if me["answers"]:
        return loses(me, primary) if me["keys"] else ""
    if not stored.has_data or (leader and (words or leader.name == primary)):
        return ""
    known = f"follows {leader} by its file" if leader else f"is not known as a replica of {primary}"
    return (
        f"{own} {what}, has data, and {known}: it would lose that by following {primary}. {remedy.format('it')}, and run this again; or give it a "
        "redis_primary_name of its own."
    )


def moves(nodes: list[Node], own: str, me: dict, encrypted: bool) -> str:
    """Why a server that has replicas, or is one, is not given another port: on the way, it and the others would lose each other."""
    kinds = {"plain": "without TLS", "tls": "with TLS"}
    wanted = "tls" if encrypted else "plain"
    if not me["at_home"] or not me["ports"] or me["ports"].get(wanted) == me["port"]:
        return ""
    of_this_set = [node for node in nodes if me["role"] == "replica" and addresses(node.host) & addresses(me["primary_host"])]
    if not me["replicas"] and not of_this_set:
        return ""
    present = " and ".join(f"port {port} {kinds[kind]}" for kind, port in me["ports"].items() if port)
    return (
        f"{own} listens on {present}, and is to listen on port {me['port']} {kinds[wanted]}, and it is one of several that replicate each other: they "
        f"and the Sentinels would lose each other halfway. Write redis_port and redis_tls_port as they were. {MOVING}"
    )


def silence(server: dict) -> tuple[str, str]:
    """What there is to say of a server that cannot be asked, and what to do, with a place for its name."""
    if server["refuses"]:
        return f"lets nobody in ({server['error']})", "Give the present password of {} in redis_password"
    if server["distrusted"]:
        return f"shows a certificate that is not accepted ({server['error']})", "Give {} one that is"
    return f"does not answer ({server['error']})", "Start {} (systemctl start)"


def loses(server: dict, primary: str) -> str:
    if server["replicas"]:
        return (
            f"{server['name']} is a primary with {server['keys']} keys and {server['replicas']} replicas, and all of them would lose that by following "
            f"{primary}. Give these a redis_primary_name of their own, or take them out of the group redis."
        )
    return (
        f"{server['name']} is a primary of its own and holds {server['keys']} keys, which it would lose by following {primary}. Let workers "
        "empty its queues and run redis-cli flushall there, or give it a redis_primary_name of its own."
    )


def astray(server: dict, name: str) -> str:
    return (
        f"{server['name']} follows {server['primary_host']} port {server['primary_port']}, which is none of the hosts with redis_primary_name {name}. Add "
        f"that host to the group redis, or take {server['name']} out of it, or make {server['name']} a primary first (redis-cli replicaof no one && "
        f"redis-cli config rewrite). {MOVING}"
    )


def is_majority(number: int, watchers: int) -> bool:
    return number > watchers // 2


def is_primary(server: dict) -> bool:
    return server["answers"] and server["role"] == "primary"


def leaders_of(nodes: list[Node], seen: dict[str, dict]) -> dict[Node | None, str]:
    """Whom replicas follow, each with the name of one that does. None is somebody else."""
    return {
        find(nodes, each["primary_host"], each["primary_port"]): each["name"]
        for each in seen.values()
        if each["answers"] and each["role"] == "replica"
    }


def has_role(nodes: list[Node], own: str, primary: str, me: dict, stored: Stored) -> bool:
    """Whether the server is what it is to be, or becomes it when it starts, by a file that says so."""
    leader = find(nodes, *stored.leader) if stored.leader else None
    if own == primary:
        return not is_primary(me) or not stored.leader
    if me["answers"]:
        # Whom of the others it follows is for Sentinel to say.
        return me["role"] == "replica" and leader is not None
    return leader is not None and leader.name == primary


def survey(peers: Peers, nodes: list[Node], told: list[dict]) -> dict[str, dict]:
    """What all of them say, and those that do not answer here have told their own hosts."""
    with concurrent.futures.ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        seen = {each["name"]: each for each in pool.map(lambda node: ask(peers, node), nodes)}
    for each in (each for each in told if each["name"] in seen):
        server = seen[each["name"]]
        # One that refuses this login, and takes its own host's at the same address, has another password yet; elsewhere it were a stranger.
        if not server["answers"] and not (server["refuses"] and each["at_home"]):
            seen[each["name"]] = each
    return seen


def is_silent(server: dict) -> bool:
    return not server["answers"] and not server["refuses"]


def hear_all(peers: Peers, sentinels: list[Node], name: str) -> list[Word]:
    def one(node: Node) -> Word | None:
        try:
            return hear(peers, node, name)
        except (OSError, RedisError):
            return None

    with concurrent.futures.ThreadPoolExecutor(max(len(sentinels), 1)) as pool:
        return [word for word in pool.map(one, sentinels) if word]


def stored_in(path: str) -> Stored:
    """What the file and the data directory of this host's server say."""
    text = read(path)
    if text is None:
        return Stored()
    directives = parse(text)
    defaults = {"dir": "", "dbfilename": "dump.rdb", "appendfilename": "appendonly.aof", "appenddirname": "appendonlydir"}
    roles = [item.args for item in directives if item.name == "replicaof" and len(item.args) == 2 and item.args[1].isdigit()]
    return Stored(
        has_data({name: stated(directives, name, default) for name, default in defaults.items()}),
        (roles[-1][0], int(roles[-1][1])) if roles else None,
    )


def is_in_step(nodes: list[Node], own: str, primary: str, me: dict) -> bool:
    """Whether it is the primary itself, for others as well, or has all the data of that one and no other."""
    if own == primary:
        return is_primary(me) and not me["at_home"]
    if not me["answers"] or me["at_home"] or me["role"] != "replica" or me["link"] != "up":
        return False
    leader = find(nodes, me["primary_host"], me["primary_port"])
    return leader is not None and leader.name == primary


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE},
            "own": {"type": "str"},
            "sentinels": NODES,
            "primary_name": {"type": "str", "default": "mymaster"},
            "path": {"type": "path", "default": "/etc/redis/redis.conf"},
            "sentinel_path": {"type": "path", "default": "/etc/redis/sentinel.conf"},
            **LOGIN_ARGUMENTS,
            "told": {"type": "list", "elements": "dict", "default": []},
            "version": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    options = module.params
    nodes, sentinels = ([Node(**entry) for entry in options[key]] for key in ("nodes", "sentinels"))
    own, name = options["own"], options["primary_name"]
    if own and own not in [node.name for node in nodes]:
        module.fail_json(msg=f"own is {own}, and nodes does not name it: this host's server has to be one of them.")
    files = tls_files(options["tls"], module.tmpdir)
    login = tuple(word for word in (options["login_user"], options["login_password"]) if word)
    servers = Peers(files, [login, *passwords_of(options["path"])])
    watchers = Peers(files, [(options["sentinel_password"] or "",), *passwords_of(options["sentinel_path"])])

    # Of a host that has none of the servers, the file is nobody's.
    stored = stored_in(options["path"]) if own else Stored()
    deadline = time.monotonic() + options["wait"]
    while True:
        words, seen = hear_all(watchers, sentinels, name), survey(servers, nodes, [each for each in options["told"] if each["name"] != own])
        if own and is_silent(seen[own]):
            seen[own] = ask_at_home(seen[own], login, options["path"])
        primary, source, problem = decide(nodes, seen, words, len(sentinels), name)
        result = {"primary": primary, "source": source, "problem": problem, "nodes": list(seen.values()), "version": options["version"]}
        result["agreeing"] = [word.by for word in words if (find(nodes, *word.address) or nodes[0]).name == primary]
        if not own:
            break
        me = seen[own]
        # Others may be silent to the rest, or have another password yet.
        result["told"] = [me] if me["answers"] else []
        result["problem"] = moves(nodes, own, me, bool(files)) or problem or objection(nodes, own, primary, seen, stored, words, len(sentinels), name)
        result["in_step"] = is_in_step(nodes, own, primary, me)
        if (result["in_step"] and not result["problem"]) or time.monotonic() >= deadline:
            result["role_to_set"] = not result["problem"] and not has_role(nodes, own, primary, me, stored)
            result["has_data"] = bool(me["keys"]) if me["answers"] else stored.has_data
            break
        time.sleep(0.3)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

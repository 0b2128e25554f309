"""Every wrong input stops site.yml on all hosts before anything changed, and says which variable, what, and what to write."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], "molecule/shared")))

from certificates import Authority  # pylint: disable=wrong-import-position

testinfra_hosts = ["ansible://all"]

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
INVENTORY = PROJECT / ".cache/testbed/refusals/inventory"


@dataclass
class Case:
    """Variables laid over the inventory (for one host or for all), and the words that the message must have."""

    name: str
    words: list[str]
    variables: dict = field(default_factory=dict)
    one_host: dict = field(default_factory=dict)
    groups: dict | None = None
    also: str = ""  # a group for one host, besides those of Redis and the workers


def worker(**keys: object) -> dict:
    return {"celery_worker_instances": [{"name": "default", **keys}]}


def beat(name: str, words: list[str], **keys: object) -> Case:
    schedule = {"nightly": {"task": "shop.report", "schedule": 60, **keys}}
    return Case(name, words, {"celery_beat_schedule": schedule}, also="celery_beat")


def flower(name: str, words: list[str], **variables: object) -> Case:
    return Case(name, words, {"celery_flower_password": "secret", **variables}, also="celery_flower")


RHEL10 = {"os_family": "RedHat", "distribution": "RedHat", "distribution_version": "10.0", "distribution_major_version": "10"}

AUTHORITY = Authority()
STRANGER = Authority(name="somebody else's CA")
# The names by which the hosts of these inventories are reached.
NAMES = ("ubuntu2404", "rhel9")


def pem(part: str, *pair: str) -> dict:
    """Certificate and key, as variables of the role redis (redis_tls) or celery_app (celery_app_tls)."""
    certificate, key = pair
    return {f"{part}_certificate": certificate, f"{part}_key": key}


def tls(name: str, words: list[str], **changes: object) -> Case:
    good = {"redis_bind": ["0.0.0.0"], "redis_password": "secret", "redis_tls_port": 6380, "redis_tls_ca": AUTHORITY.pem}
    return Case(name, words, {**good, **pem("redis_tls", *AUTHORITY.issue(*NAMES)), **changes})


def user(case: str, words: list[str], **keys: object) -> Case:
    return Case(case, words, {"redis_users": [{"name": "shop", "passwords": ["secret"], **keys}]})


BOTH = ["ubuntu2404", "rhel9"]


def replicated(name: str, words: list[str], one_host: dict | None = None, **changes: object) -> Case:
    """Two servers that are to replicate each other. Both would get the same version."""
    good = {"redis_replication": True, "redis_bind": ["0.0.0.0"], "redis_password": "secret"}
    return Case(name, words, {**good, **changes}, one_host or {}, groups={"redis": BOTH, "celery_worker": BOTH})


def watched(name: str, words: list[str], one_host: dict | None = None, sentinels: tuple[str, ...] = (*BOTH, "third"), **changes: object) -> Case:
    """The same with Sentinels."""
    good = {"redis_bind": ["0.0.0.0"], "redis_password": "secret", "redis_sentinel_password": "secret"}
    groups = {"redis": BOTH, "celery_worker": BOTH, "redis_sentinel": list(sentinels)}
    # RHEL 9's module stream has the version of Ubuntu 24.04.
    return Case(name, words, {**good, **changes}, {"redis_module_stream": "7", **(one_host or {})}, groups=groups)


CASES = [
    # Redis: types and ranges
    Case("port_is_text", ["redis_port", "int"], {"redis_port": "six"}),
    Case("port_too_high", ["redis_port is 70000", "1 to 65535"], {"redis_port": 70000}),
    Case("port_zero_on_one_host", ["redis_port is 0", "1 to 65535"], one_host={"redis_port": 0}),
    Case("config_is_a_list", ["redis_config", "dict"], {"redis_config": ["maxmemory 1gb"]}),
    Case("enabled_is_no_boolean", ["redis_service_enabled", "bool"], {"redis_service_enabled": "perhaps"}),
    Case("bind_is_empty", ["redis_bind is empty", "every address"], {"redis_bind": []}),
    Case("bind_twice_over", ["redis_bind names 127.0.0.1, 0.0.0.0", "alone"],
         {"redis_bind": ["127.0.0.1", "0.0.0.0"], "redis_password": "secret"}),
    # Redis: never open
    Case("bind_two_in_one", ['redis_bind names "127.0.0.1 192.0.2.1"', "one address"], {"redis_bind": ["127.0.0.1 192.0.2.1"]}),
    # An inventory in INI format and --extra-vars give text.
    Case("bind_is_text", ["redis_bind is text", "write a list"], {"redis_bind": "0.0.0.0"}),
    Case("config_is_text", ["redis_config is text", "write a dictionary"], {"redis_config": "maxmemory=1gb"}),
    Case("firewall_sources_are_text", ["redis_firewall_sources is text"], {"redis_firewall_sources": "192.0.2.0/28"}),
    Case("open_access_false_as_text", ["redis_password", "0.0.0.0"], {"redis_bind": ["0.0.0.0"], "redis_allow_open_access": "false"}),
    Case("default_user_off_as_text", ["redis_default_user_enabled is false", "redis_admin_user"], {"redis_default_user_enabled": "false"}),
    user("keys_are_text", ["redis_users (shop): keys is text"], keys="shop:*"),
    user("password_among_commands", ["redis_users has a password among the commands of shop"], commands=[">s3cret"]),
    Case("queues_are_text", ["celery_worker_instances (default): queues is text"], worker(queues="mail")),
    Case("requirements_are_text", ["celery_app_requirements is text"], {"celery_app_requirements": "shop==1.4.2", "celery_app_instance": "shop"}),
    Case("wide_bind", ["redis_password", "0.0.0.0", "loopback"], {"redis_bind": ["0.0.0.0"]}),
    Case("wide_bind_ipv6", ["redis_password", "::"], {"redis_bind": ["127.0.0.1", "::"]}),
    Case("wide_bind_star", ["redis_password", "*"], {"redis_bind": ["*"]}),
    Case("wide_bind_hidden_by_minus", ["redis_password", "192.0.2.1"], {"redis_bind": ["127.0.0.1", "-192.0.2.1"]}),
    Case("wide_bind_on_one_host", ["redis_password", "0.0.0.0"], one_host={"redis_bind": ["0.0.0.0"]}),
    Case("protected_mode_no", ["protected-mode", "redis_password", "-DENIED"], {"redis_config": {"protected-mode": False}}),
    Case("protected_mode_no_as_text", ["protected-mode", "redis_password"], {"redis_config": {"protected-mode": "no"}}),
    Case("protected_mode_no_in_capitals", ["protected-mode", "redis_password"], {"redis_config": {"PROTECTED-MODE": "no"}}),
    Case("password_with_line_break", ["redis_password", "line break"], {"redis_password": "a\nb"}),
    # Redis: TLS
    tls("tls_port_of_plain_text", ["redis_tls_port and redis_port are both 6379", "redis_port: 0"], redis_tls_port=6379),
    tls("tls_port_too_high", ["redis_tls_port is 70000", "1 to 65535"], redis_tls_port=70000),
    tls("tls_files_without_a_port", ["redis_tls_port is 0", "plain text"], redis_tls_port=0),
    tls("neither_plain_nor_tls", ["redis_port is 0", "redis_tls_port"], redis_port=0, redis_tls_port=0),
    tls("key_without_a_certificate", ["redis_tls_certificate is empty", "redis_tls_key"], redis_tls_certificate=""),
    tls("tls_without_a_ca", ["redis_tls_ca is empty"], redis_tls_ca=""),
    tls("certificate_that_the_control_node_lacks", ["/nowhere/redis.crt"],
        redis_tls_certificate="{{ lookup('ansible.builtin.file', '/nowhere/redis.crt') }}"),
    tls("certificate_that_the_host_lacks", ["redis_tls_certificate", "/nowhere/redis.crt", "no such file"],
        redis_tls_certificate="/nowhere/redis.crt"),
    tls("certificate_is_a_relative_path", ["redis_tls_certificate", "neither PEM text", "absolute path"], redis_tls_certificate="tls/redis.crt"),
    tls("certificate_is_no_pem", ["redis_tls_certificate holds no certificate"], redis_tls_certificate="-----BEGIN CERTIFICATE-----\nMII\n"),
    tls("key_of_another_certificate", ["redis_tls_key is not the key of the certificate"], redis_tls_key=AUTHORITY.issue(*NAMES)[1]),
    tls("key_with_a_password", ["redis_tls_key is encrypted", "tls-key-file-pass"],
        **pem("redis_tls", *AUTHORITY.issue(*NAMES, password="open sesame"))),
    tls("certificate_has_expired", ["redis_tls_certificate has expired", "renew it"],
        **pem("redis_tls", *AUTHORITY.issue(*NAMES, start=-3, end=-1))),
    tls("certificate_is_not_valid_yet", ["redis_tls_certificate is not valid yet", "clock"],
        **pem("redis_tls", *AUTHORITY.issue(*NAMES, start=1))),
    tls("certificate_of_another_ca", ["redis_tls_ca did not sign the certificate"], redis_tls_ca=STRANGER.pem),
    tls("certificate_of_a_client", ["redis_tls_certificate is not for a server", "serverAuth"],
        **pem("redis_tls", *AUTHORITY.issue(*NAMES, purpose="client"))),
    tls("certificate_of_another_host", ["redis_address is", "the certificate does not name", "alternative names"],
        **pem("redis_tls", *AUTHORITY.issue("redis.example.com"))),
    tls("tls_for_nobody_elsewhere", ["redis_bind is loopback alone", "redis_address: localhost"], redis_bind=["127.0.0.1"]),
    tls("unknown_way_to_ask_clients", ["redis_tls_auth_clients", "no, optional, yes"], redis_tls_auth_clients="maybe"),
    tls("certificate_among_directives", ["tls-cert-file", "redis_tls_certificate"], redis_config={"tls-cert-file": "/x"}),
    tls("mutual_tls_and_workers_without_a_certificate", ["redis_tls_auth_clients: yes", "celery_app_tls_certificate is empty"],
        redis_tls_auth_clients="yes"),
    tls("worker_key_without_a_certificate", ["celery_app_tls_key", "celery_app_tls_certificate is empty"],
        celery_app_tls_key=AUTHORITY.issue("worker")[1]),
    tls("worker_certificate_has_expired", ["celery_app_tls_certificate has expired"],
        **pem("celery_app_tls", *AUTHORITY.issue("worker", purpose="client", start=-3, end=-1))),
    tls("worker_certificate_of_another_ca", ["redis_tls_ca did not sign the certificate"],
        **pem("celery_app_tls", *STRANGER.issue("worker", purpose="client"))),
    tls("worker_certificate_of_a_server", ["celery_app_tls_certificate is not for a client"],
        **pem("celery_app_tls", *AUTHORITY.issue("worker", purpose="server"))),
    tls("worker_ca_that_the_host_lacks", ["celery_app_tls_ca", "/nowhere/ca.crt", "no such file"], celery_app_tls_ca="/nowhere/ca.crt"),
    # Redis: replication
    Case("replication_user_without_a_password", ["redis_replication_user is repl", "redis_replication_password is empty"],
         {"redis_replication_user": "repl"}),
    Case("replication_password_without_a_user", ["redis_replication_password is set", "name the user"], {"redis_replication_password": "secret"}),
    Case("replication_as_the_administrator", ["redis_replication_user is ops", "a name of its own"],
         {name: "ops" for name in ("redis_replication_user", "redis_replication_password", "redis_admin_user", "redis_admin_password")}),
    Case("replicas_to_write_to_and_no_replication", ["redis_min_replicas_to_write is 1", "there is no replication", "redis_sentinel"],
         {"redis_min_replicas_to_write": 1}),
    Case("more_replicas_to_write_to_than_there_are", ["redis_min_replicas_to_write is 1", "there are 0 replicas"],
         {"redis_replication": True, "redis_primary_name": "lonely", "redis_min_replicas_to_write": 1}),
    Case("replicas_to_write_to_below_zero", ["redis_min_replicas_to_write is -1"],
         {"redis_replication": True, "redis_primary_name": "negative", "redis_min_replicas_to_write": -1}),
    Case("primary_named_with_a_space", ['redis_primary_name is "my master"'], {"redis_replication": True, "redis_primary_name": "my master"}),
    Case("primary_among_directives", ["redis_config names replicaof", "Leave it out"],
         {"redis_replication": True, "redis_primary_name": "named", "redis_config": {"replicaof": "192.0.2.1 6379"}}),
    replicated("replicas_that_cannot_be_reached", ["redis_bind names 127.0.0.1", "cannot reach"], redis_bind=["127.0.0.1"], redis_password=""),
    replicated("replicas_at_an_address_of_loopback", ["redis_address is 127.0.0.1", "no other host reaches"], redis_address="127.0.0.1"),
    replicated("replicas_with_a_password_of_their_own", ["redis_password differs", "write it once"], one_host={"redis_password": "another"}),
    replicated("replicas_of_which_one_does_not_replicate", ["redis_replication is false on rhel9", "redis_primary_name of its own"],
               one_host={"redis_replication": False}),
    replicated("replicas_that_are_not_heard_of_in_time", ["redis_min_replicas_max_lag is 1", "2 or more"],
               redis_min_replicas_to_write=1, redis_min_replicas_max_lag=1),
    replicated("replicas_of_another_version", ["different versions", "6.2 and 7.0", "redis_module_stream"]),
    replicated("tls_on_some_replicas_alone", ["redis_tls_port is set on some"],
               one_host={"redis_tls_port": 6380, "redis_tls_ca": AUTHORITY.pem, **pem("redis_tls", *AUTHORITY.issue(*NAMES))}),
    replicated("replicas_that_would_not_let_each_other_in", ["redis_tls_certificate is for servers alone", "clientAuth"],
               redis_tls_port=6380, redis_tls_auth_clients="yes", redis_tls_ca=AUTHORITY.pem, **pem("redis_tls", *AUTHORITY.issue(*NAMES)),
               **{"celery_app_tls_ca": AUTHORITY.pem, **pem("celery_app_tls", *AUTHORITY.issue("worker", purpose="client"))}),
    # Sentinels
    watched("two_sentinels", ["redis_sentinel has 2 hosts", "no majority", "Name three"], sentinels=("ubuntu2404", "rhel9")),
    watched("one_sentinel", ["redis_sentinel has 1 host", "Name three"], sentinels=("ubuntu2404",)),
    watched("an_even_number_of_sentinels", ["redis_sentinel has 4 hosts", "no more failures than 3"], sentinels=(*BOTH, "third", "fourth")),
    watched("quorum_that_cannot_be_met", ["redis_sentinel_quorum is 4", "there are 3 Sentinels", "write 2"], redis_sentinel_quorum=4),
    watched("sentinel_that_cannot_be_reached", ["redis_sentinel_bind names 127.0.0.1", "neither the other Sentinels nor workers"],
            redis_sentinel_bind=["127.0.0.1"]),
    watched("sentinel_at_an_address_of_loopback", ["redis_sentinel_address is 127.0.0.1"], redis_sentinel_address="127.0.0.1"),
    watched("sentinel_without_a_password", ["redis_sentinel_password", "anybody could name another primary"], redis_sentinel_password=""),
    watched("sentinels_with_different_passwords", ["redis_sentinel_password differs"], one_host={"redis_sentinel_password": "another"}),
    watched("password_that_sentinel_cannot_keep", ["has a space or a quote", "redis_replication_user"], redis_password="a secret"),
    watched("sentinel_on_the_port_of_redis", ["redis_sentinel_port is 6379", "Redis's port"], redis_sentinel_port=6379),
    watched("sentinel_in_a_hurry", ["redis_sentinel_down_after is 5", "milliseconds"], redis_sentinel_down_after=5),
    watched("failover_in_no_time", ["redis_sentinel_failover_timeout is 10", "no less than redis_sentinel_down_after"],
            redis_sentinel_failover_timeout=10),
    watched("replicas_that_never_follow", ["redis_sentinel_parallel_syncs is 0"], redis_sentinel_parallel_syncs=0),
    watched("sentinels_and_no_replication", ["redis_replication is false", "take the place"], redis_replication=False),
    # What 127.0.1.1 is as a number; no host of these has such a name.
    watched("sentinel_whose_name_is_loopback_at_home", ["redis_sentinel_address is 2130706689", "takes for 127.0.1.1 (/etc/hosts)"],
            redis_sentinel_address="2130706689", redis_sentinel_bind=["127.0.0.1", "192.0.2.1"]),
    watched("primary_that_nobody_watches", ["master_name: mymastre in broker_transport_options", "Sentinels watch mymaster"],
            celery_app_settings={"broker_transport_options": {"master_name": "mymastre"}}),
    watched("primary_without_a_replica", ["the only host with redis_primary_name second"], one_host={"redis_primary_name": "second"}),
    # Redis: directives
    Case("bind_among_directives", ["bind", "redis_bind"], {"redis_config": {"bind": "0.0.0.0"}}),
    Case("password_among_directives", ["requirepass", "redis_password"], {"redis_config": {"requirepass": "x"}}),
    Case("port_in_capitals_among_directives", ["port", "redis_port"], {"redis_config": {"PORT": 6380}}),
    Case("include_hides_directives", ["include", "whole configuration"], {"redis_config": {"include": "/etc/redis/more.conf"}}),
    Case("acl_file", ["aclfile", "redis_password"], {"redis_config": {"aclfile": "/etc/redis/users.acl"}}),
    Case("misspelt_directive", ["maxmemory-polcy", "maxmemory-policy"], {"redis_config": {"maxmemory-polcy": "noeviction"}}),
    Case("directive_of_a_later_version", ["appenddirname", "7.0", "6.2"],
         {"redis_config": {"appenddirname": "aof"},
          "ansible_facts": {**RHEL10, "distribution_version": "9.6", "distribution_major_version": "9"}}),
    Case("no_such_size", ["maxmemory", "2 gigs", "512mb"], {"redis_config": {"maxmemory": "2 gigs"}}),
    Case("two_directives_in_one", ["loglevel", "line break"], {"redis_config": {"loglevel": "notice\nprotected-mode no"}}),
    Case("backups_to_keep", ["redis_backup_keep is -1", "0 for all"], {"redis_backup_keep": -1}),
    # Redis: the host
    Case("port_of_another_process", ["port 22 on 127.0.0.1 is taken by another process", "redis_port", "ss -ltnp"], {"redis_port": 22}),
    Case("data_directory_among_directives", ["dir", "redis_data_dir"], {"redis_config": {"dir": "/srv/redis"}}),
    Case("data_directory_on_a_disk_that_is_not_mounted", ["redis_data_dir", "/mnt/disk does not exist", "Mount or create"],
         {"redis_data_dir": "/mnt/disk/redis"}),
    Case("data_directory_is_a_file", ["redis_data_dir", "/etc/hostname", "no directory"], {"redis_data_dir": "/etc/hostname"}),
    Case("data_directory_is_relative", ["redis_data_dir is data", "absolute path"], {"redis_data_dir": "data"}),
    Case("data_directory_at_home", ["redis_data_dir is /home/redis", "sees nothing"], {"redis_data_dir": "/home/redis"}),
    Case("unknown_firewall", ["redis_firewall", "auto, firewalld, ufw, none"], {"redis_firewall": "iptables"}),
    Case("hardening_is_no_boolean", ["redis_hardening", "bool"], {"redis_hardening": "some"}),
    # Redis: which server, from where
    Case("unknown_flavor", ["redis_flavor", "redis, valkey"], {"redis_flavor": "keydb"}),
    Case("flavor_that_rhel9_lacks", ["redis_flavor is valkey", "redis_flavor: redis", "install the package valkey"],
         one_host={"redis_flavor": "valkey"}),
    Case("flavor_that_rhel10_lacks", ["redis_flavor is redis", "RedHat 10", "not known to package Redis", "redis_flavor: valkey"],
         {"redis_flavor": "redis", "ansible_facts": RHEL10}),
    Case("valkey_under_the_name_of_redis", ["redis_flavor is redis", "is Valkey 8.0.4 under another name", "redis_flavor: valkey"],
         {"redis_flavor": "redis", "ansible_facts": RHEL10,
          "__redis_host": {"packages": {}, "versions": {"/usr/bin/redis-server": "Valkey server v=8.0.4 sha=0"}}}),
    Case("module_stream_elsewhere", ["redis_module_stream is 7", "RHEL 9", "Leave it out"], {"redis_module_stream": "7"}),
    Case("module_stream_of_valkey", ["redis_module_stream is 7", "for redis_flavor: redis"],
         one_host={"redis_module_stream": "7", "redis_flavor": "valkey"}),
    Case("module_stream_is_no_number", ["redis_module_stream is latest", "dnf module list redis"], one_host={"redis_module_stream": "latest"}),
    Case("module_stream_older_than_what_is_installed", ["redis_module_stream is 6", "Redis 7.2.4", "newer"],
         {"redis_module_stream": "6", "ansible_facts": {**RHEL10, "distribution_major_version": "9"},
          "__redis_host": {"packages": {}, "versions": {"/usr/bin/redis-server": "Redis server v=7.2.4 sha=0"}}}),
    # Redis: directives of other versions and of the other flavor, and types (each kind of value once)
    Case("misspelt_by_a_letter", ["apendonly", "did you mean appendonly?"], {"redis_config": {"apendonly": True}}),
    Case("misspelt_with_an_underscore", ["maxmemory_policy", "did you mean maxmemory-policy?"],
         {"redis_config": {"maxmemory_policy": "noeviction"}}),
    Case("nothing_like_it", ["flux-capacitor", "is no directive of Redis", "as it stands in redis.conf"], {"redis_config": {"flux-capacitor": 1}}),
    Case("directive_that_7_0_dropped", ["gopher-enabled", "which Redis 7.0 dropped", "leave it out"], {"redis_config": {"gopher-enabled": True}}),
    Case("directive_of_valkey_alone", ["availability-zone", "only Valkey has", "leave it out"], {"redis_config": {"availability-zone": "a"}}),
    Case("directive_of_redis_7_on_6_2", ["maxmemory-clients", "came with Redis 7.0", "6.2"], {"redis_config": {"maxmemory-clients": "5%"}}),
    Case("directive_of_redis_alone", ["replica-full-sync-buffer-limit", "only Redis has", "Valkey 8.0"],
         {"ansible_facts": RHEL10, "redis_config": {"replica-full-sync-buffer-limit": "1gb"}}),
    Case("yes_or_no_is_neither", ["appendonly", "perhaps", "neither yes nor no"], {"redis_config": {"appendonly": "perhaps"}}),
    Case("number_is_text", ["timeout", "soon", "no whole number"], {"redis_config": {"timeout": "soon"}}),
    Case("number_is_a_fraction", ["databases", "1.5", "no whole number"], {"redis_config": {"databases": 1.5}}),
    Case("number_is_a_boolean", ["maxclients", "a whole number"], {"redis_config": {"maxclients": True}}),
    Case("size_with_a_unit_that_redis_lacks", ["client-query-buffer-limit", "1tb", "512mb"], {"redis_config": {"client-query-buffer-limit": "1tb"}}),
    Case("choice_that_is_none", ["appendfsync", "hourly", "everysec, always, no"], {"redis_config": {"appendfsync": "hourly"}}),
    Case("dictionary_for_a_value", ["save", "dictionary"], {"redis_config": {"save": {"900": 1}}}),
    Case("list_of_lists_for_a_value", ["save", "each line as one string"], {"redis_config": {"save": [[900, 1]]}}),
    Case("no_value", ["dbfilename", "no value"], {"redis_config": {"dbfilename": None}}),
    Case("every_directive_at_once", ["neither yes nor no", "no whole number", "did you mean maxmemory?"],
         {"redis_config": {"appendonly": "perhaps", "timeout": "soon", "maxmemmory": "1gb"}}),
    # Workers
    Case("unknown_pool", ["pool", "prefork, threads, gevent, eventlet, solo"], worker(pool="fork")),
    Case("worker_without_a_name", ["name", "missing"], {"celery_worker_instances": [{"queues": ["a"]}]}),
    Case("unknown_key_of_a_worker", ["celery_worker_instances", "queue"], worker(queue="mail")),
    Case("two_workers_of_one_name", ["celery_worker_instances", "default, default", "once"],
         {"celery_worker_instances": [{"name": "default"}, {"name": "default"}]}),
    Case("worker_name_with_a_slash", ["celery_worker_instances", "a/b"], {"celery_worker_instances": [{"name": "a/b"}]}),
    Case("queue_with_a_space", ["celery_worker_instances", "new orders", "no spaces"], worker(queues=["new orders"])),
    Case("queue_with_a_comma", ["celery_worker_instances", "a,b"], worker(queues=["a,b"])),
    Case("worker_without_a_queue", ["celery_worker_instances", "queues: []"], worker(queues=[])),
    Case("no_workers", ["celery_worker_instances is empty"], {"celery_worker_instances": []}),
    Case("concurrency_zero", ["concurrency", "1 or more"], worker(concurrency=0)),
    Case("option_with_a_key_of_its_own", ["options", "--pool=solo"], worker(options=["--pool=solo"])),
    Case("option_in_short_with_a_key_of_its_own", ["options", "-Qmail"], worker(options=["-Qmail"])),
    Case("stop_timeout_negative", ["celery_worker_stop_timeout", "1 or more"], {"celery_worker_stop_timeout": -1}),
    Case("drain_timeout_zero", ["celery_worker_drain_timeout", "1 or more"], {"celery_worker_drain_timeout": 0}),
    Case("relative_writable_path", ["celery_worker_writable_paths", "absolute"], {"celery_worker_writable_paths": ["uploads"]}),
    # Application
    Case("source_is_missing", ["celery_app_source", "does not exist"],
         {"celery_app_source": "/srv/shop", "celery_app_instance": "shop:app"}),
    Case("source_without_a_name", ["celery_app_instance is empty", "celery -A"], {"celery_app_source": "/srv"}),
    Case("name_without_a_source", ["celery_app_source", "celery_app_requirements"], {"celery_app_instance": "shop:app"}),
    Case("name_that_python_cannot_import", ["celery_app_instance", "module:name"],
         {"celery_app_instance": "shop app", "celery_app_requirements": ["shop"]}),
    Case("redeliveries_negative", ["celery_app_max_redeliveries is -1", "0 for no limit"], {"celery_app_max_redeliveries": -1}),
    Case("version_without_git", ["celery_app_source_version", "git"], {"celery_app_source_version": "v1"}),
    Case("python_without_a_path", ["celery_app_python", "full path"], {"celery_app_python": "python3.12"}),
    Case("python_as_a_number", ["celery_app_python is 3.12", "full path"], {"celery_app_python": 3.12}),
    Case("packages_as_text", ["celery_app_packages", "list"], {"celery_app_packages": "gcc"}),
    Case("environment_names", ["celery_app_environment", "letters"], {"celery_app_environment": {"MY-NAME": "x"}}),
    Case("broker_in_the_environment", ["celery_app_broker_url"], {"celery_app_environment": {"CELERY_BROKER_URL": "x"}}),
    Case("unknown_installer", ["celery_app_installer", "auto, uv, pip"], {"celery_app_installer": "conda"}),
    Case("redis_of_a_stranger", ["celery_app_redis_host", "no host of the inventory"], {"celery_app_redis_host": "elsewhere"}),
    Case("redis_that_listens_on_its_own_loopback", ["redis_bind", "loopback alone"], {"celery_app_redis_host": "ubuntu2404"}),
    Case("release_that_is_no_release", ["celery_app_release", "previous"], {"celery_app_release": "v1.4"}),
    Case("index_that_is_no_url", ["celery_app_index_url", "https://"], {"celery_app_index_url": "pypi.example.com/simple"}),
    Case("index_with_a_space", ["celery_app_extra_index_urls", "without spaces"],
         {"celery_app_extra_index_urls": ["https://a.example.com/simple https://b.example.com/simple"]}),
    Case("relative_wheelhouse", ["celery_app_find_links names wheels", "absolute"], {"celery_app_find_links": ["wheels"]}),
    Case("no_index_and_no_wheelhouse", ["celery_app_no_index", "celery_app_find_links"], {"celery_app_no_index": True}),
    Case("no_index_and_an_index", ["celery_app_no_index", "one of the two"],
         {"celery_app_no_index": True, "celery_app_find_links": ["/srv/wheels"], "celery_app_index_url": "https://pypi.example.com/simple"}),
    # Settings
    Case("misspelt_setting", ["celery_app_settings names task_time_limt", "did you mean task_time_limit?"],
         {"celery_app_settings": {"task_time_limt": 60}}),
    Case("setting_in_the_words_of_celery_3", ["CELERY_ACKS_LATE", "write task_acks_late"], {"celery_app_settings": {"CELERY_ACKS_LATE": True}}),
    Case("setting_of_another_type", ['celery_app_settings has task_time_limit: "soon"', "write a number"],
         {"celery_app_settings": {"task_time_limit": "soon"}}),
    Case("pickle_for_tasks", ["pickle in task_serializer", "run any code", "write json"], {"celery_app_settings": {"task_serializer": "pickle"}}),
    Case("pickle_among_the_content", ["pickle in accept_content", "run any code"], {"celery_app_settings": {"accept_content": ["json", "pickle"]}}),
    Case("yaml_for_results", ["yaml in result_serializer", "write json"], {"celery_app_settings": {"result_serializer": "yaml"}}),
    Case("broker_among_settings", ["names broker_url", "celery_app_broker_url"], {"celery_app_settings": {"broker_url": "redis://elsewhere"}}),
    Case("schedule_among_settings", ["names beat_schedule", "celery_beat_schedule"], {"celery_app_settings": {"beat_schedule": {}}}),
    Case("visibility_timeout_among_transport_options", ["visibility_timeout in broker_transport_options", "celery_app_visibility_timeout"],
         {"celery_app_settings": {"broker_transport_options": {"visibility_timeout": 7200}}}),
    Case("settings_of_a_worker_in_the_environment", ["celery_app_environment names CELERY_WORKER_SETTINGS"],
         {"celery_app_environment": {"CELERY_WORKER_SETTINGS": "{}"}}),
    # Queues
    Case("route_to_a_queue_that_nobody_consumes", ["celery_app_routes", "reprots", "no worker of the inventory consumes", "name one of those there are"],
         {"celery_app_routes": {"shop.*": "reprots"}}),
    Case("default_queue_that_nobody_consumes", ["task_default_queue", "shop", "no worker of the inventory consumes"],
         {"celery_app_settings": {"task_default_queue": "shop"}}),
    Case("route_that_says_more_than_a_queue", ["celery_app_routes sends shop.* to", "name of one queue"],
         {"celery_app_routes": {"shop.*": {"queue": "celery"}}}),
    Case("routes_in_two_places", ["celery_app_routes and task_routes", "one of them"],
         {"celery_app_routes": {"a": "celery"}, "celery_app_settings": {"task_routes": {"b": "celery"}}}),
    Case("priority_steps_in_disorder", ["celery_app_priority_steps is 0, 6, 3", "ascending"], {"celery_app_priority_steps": [0, 6, 3]}),
    Case("priority_steps_without_the_highest", ["celery_app_priority_steps is 3, 6", "first of them 0"], {"celery_app_priority_steps": [3, 6]}),
    Case("priority_step_too_high", ["celery_app_priority_steps is 0, 256", "0 to 255"], {"celery_app_priority_steps": [0, 256]}),
    Case("priority_step_in_words", ["celery_app_priority_steps", "int"], {"celery_app_priority_steps": ["high"]}),
    Case("unknown_order_of_queues", ["celery_app_queue_order_strategy", "round_robin, sorted, priority"],
         {"celery_app_queue_order_strategy": "random"}),
    Case("visibility_timeout_negative", ["celery_app_visibility_timeout is -1", "more than any task takes"], {"celery_app_visibility_timeout": -1}),
    Case("visibility_timeout_below_stop_timeout",
         ["must rise", "stop_timeout: 300", "visibility_timeout: 200", "runs a second time", "celery_app_visibility_timeout for all"],
         {"celery_app_visibility_timeout": 200}),
    Case("stop_timeout_over_celery_s_visibility_timeout", ["stop_timeout: 7200", "visibility_timeout: 3600", "more than 7200"],
         worker(stop_timeout=7200)),
    Case("time_limit_over_all_of_it", ["time_limit, soft_time_limit: 9000", "stop kills it after 300", "visibility_timeout of more than 9000"],
         worker(time_limit=9000)),
    Case("visibility_timeout_of_a_worker_below_its_stop_timeout", ["default has times that contradict", "visibility_timeout: 60"],
         worker(visibility_timeout=60)),
    Case("visibility_timeouts_of_hosts_that_share_a_redis", ["celery_app_visibility_timeout is", "use the same database", "shortest would hold for all"],
         {"redis_bind": ["0.0.0.0"], "redis_password": "secret", "celery_app_redis_host": "ubuntu2404"},
         one_host={"celery_app_visibility_timeout": 7200}),
    Case("visibility_timeouts_of_workers_of_one_name", ["default has visibility_timeout", "workers of one name", "another name"],
         {"redis_bind": ["0.0.0.0"], "redis_password": "secret", "celery_app_redis_host": "ubuntu2404", **worker(visibility_timeout=7200)},
         one_host=worker(visibility_timeout=9000)),
    # Beat
    Case("two_beats", ["celery_beat has 2 hosts", "every task twice"],
         groups=dict.fromkeys(("redis", "celery_worker", "celery_beat"), ["ubuntu2404", "rhel9"])),
    beat("schedule_in_words", ["celery_beat_schedule, nightly: schedule is \"hourly\"", "seconds", "crontab"], schedule="hourly"),
    beat("schedule_of_no_seconds", ["celery_beat_schedule, nightly: schedule is 0", "more than 0"], schedule=0),
    beat("crontab_field_out_of_range", ["celery_beat_schedule, nightly: hour is \"25\"", "0 to 23"], schedule={"hour": 25}),
    beat("crontab_field_misspelt", ["minutes, which is no field of a crontab", "minute, hour"], schedule={"minutes": 5}),
    beat("crontab_that_never_comes", ["would never be sent"], schedule={"day_of_month": 31, "month_of_year": "feb"}),
    beat("schedule_without_a_task", ["celery_beat_schedule, nightly: task is missing"], task=""),
    beat("scheduled_queue_with_a_space", ["celery_beat_schedule, nightly: queue is \"two words\""], queue="two words"),
    beat("unknown_key_of_a_schedule", ["cron is no key of an entry", "task, schedule"], cron="* * * * *"),
    Case("schedule_is_a_list", ["celery_beat_schedule", "dict"], {"celery_beat_schedule": ["x"]}, also="celery_beat"),
    # Flower
    flower("flower_without_a_password", ["celery_flower_password is empty", "vault"], celery_flower_password=""),
    flower("flower_password_with_a_comma", ["celery_flower_password has a comma"], celery_flower_password="a,b"),
    flower("flower_password_beyond_ascii", ["celery_flower_password", "beyond ASCII"], celery_flower_password="gr\u00fcn"),
    flower("flower_user_with_a_colon", ["celery_flower_username is \"a:b\""], celery_flower_username="a:b"),
    flower("flower_port_too_low", ["celery_flower_port is 80", "1024 to 65535"], celery_flower_port=80),
    flower("flower_port_of_redis", ["celery_flower_port is 6379", "redis_port"], celery_flower_port=6379),
    flower("flower_bind_is_a_list", ["celery_flower_bind", "write one address"], celery_flower_bind="127.0.0.1, ::1"),
    flower("flower_password_among_options", ["celery_flower_options names basic_auth", "celery_flower_password"],
           celery_flower_options={"basic_auth": "a:b"}),
    flower("flower_directive_with_a_line_break", ["celery_flower_unit_options", "one line"],
           celery_flower_unit_options={"MemoryMax": "1G\nUser=root"}),
    flower("flower_password_in_the_unit", ["celery_flower_unit_options names Environment", "celery_app_environment"],
           celery_flower_unit_options={"Environment": "FLOWER_BASIC_AUTH=a:b"}),
    Case("beat_of_another_user", ["celery_beat_unit_options names User", "celery_app_user"],
         {"celery_beat_unit_options": {"User": "root"}}, also="celery_beat"),
    # Inventory
    Case("no_redis", ["inventory group redis has no host"], groups={"redis": [], "celery_worker": ["ubuntu2404", "rhel9"]}),
    Case("no_worker", ["inventory group celery_worker has no host"], groups={"redis": ["ubuntu2404", "rhel9"], "celery_worker": []}),
    # Pools and units of workers
    Case("autoscale_in_threads", ["autoscale", "pool threads", "neither grow nor shrink", "prefork or gevent or eventlet"],
         worker(pool="threads", autoscale={"max": 8, "min": 2})),
    Case("autoscale_in_solo", ["autoscale", "pool solo"], worker(pool="solo", autoscale={"max": 8, "min": 2})),
    Case("autoscale_upside_down", ["autoscale with max 2 and min 8", "no less than min"], worker(autoscale={"max": 2, "min": 8})),
    Case("autoscale_from_nothing", ["min of 1 or more"], worker(autoscale={"max": 2, "min": 0})),
    Case("autoscale_without_a_minimum", ["min", "missing"], worker(autoscale={"max": 2})),
    Case("autoscale_in_celery_s_words", ["autoscale", "dict"], worker(autoscale="8,2")),
    Case("autoscale_and_concurrency", ["both concurrency and autoscale"], worker(concurrency=4, autoscale={"max": 8, "min": 2})),
    Case("time_limit_in_threads", ["time_limit in the pool threads", "prefork or gevent"], worker(pool="threads", time_limit=60)),
    Case("time_limit_in_eventlet", ["time_limit in the pool eventlet"], worker(pool="eventlet", time_limit=60)),
    Case("time_limit_in_solo", ["time_limit in the pool solo"], worker(pool="solo", time_limit=60)),
    Case("soft_time_limit_in_gevent", ["soft_time_limit in the pool gevent"], worker(pool="gevent", soft_time_limit=60)),
    Case("max_tasks_per_child_in_gevent", ["max_tasks_per_child in the pool gevent", "processes to replace"],
         worker(pool="gevent", max_tasks_per_child=10)),
    Case("max_memory_per_child_in_threads", ["max_memory_per_child in the pool threads"],
         worker(pool="threads", max_memory_per_child=100000)),
    Case("solo_with_concurrency", ["concurrency: 4 in the pool solo", "one task at a time"], worker(pool="solo", concurrency=4)),
    Case("time_limit_over_stop_timeout", ["run for 600 seconds", "stop kills it after 300", "stop_timeout"], worker(time_limit=600)),
    Case("soft_time_limit_over_stop_timeout", ["run for 60 seconds", "stop kills it after 30"],
         worker(soft_time_limit=60, stop_timeout=30)),
    Case("time_limit_among_settings_over_stop_timeout", ["run for 900 seconds", "celery_worker_stop_timeout"],
         {"celery_app_settings": {"task_time_limit": 900}}),
    Case("soft_time_limit_over_time_limit", ["soft_time_limit of 60 seconds and a time_limit of 30", "tidy up"],
         worker(soft_time_limit=60, time_limit=30)),
    Case("time_limit_zero", ["time_limit: 0", "1 or more"], worker(time_limit=0)),
    Case("prefetch_negative", ["prefetch: -1", "0 for no limit"], worker(prefetch=-1)),
    Case("autoscale_among_options", ["options", "--autoscale=8,2", "keys of the worker"], worker(options=["--autoscale=8,2"])),
    Case("watchdog_too_short", ["celery_worker_watchdog is 5", "20 seconds or more"], {"celery_worker_watchdog": 5}),
    Case("start_timeout_zero", ["celery_worker_start_timeout", "1 or more"], {"celery_worker_start_timeout": 0}),
    Case("unit_option_in_small_letters", ["celery_worker_unit_options names memory_max", "MemoryMax"],
         {"celery_worker_unit_options": {"memory_max": "1G"}}),
    Case("unit_option_with_a_secret", ["celery_worker_unit_options names Environment", "celery_app_environment"],
         {"celery_worker_unit_options": {"Environment": "TOKEN=x"}}),
    Case("unit_option_of_the_role_for_one_worker", ["names TimeoutStopSec", "stop_timeout"],
         worker(unit_options={"TimeoutStopSec": 5})),
    Case("unit_option_of_two_lines", ["celery_worker_unit_options", "line break"],
         {"celery_worker_unit_options": {"MemoryMax": "1G\nUser=root"}}),
    # Redis: users
    Case("two_users_of_one_name", ["redis_users names shop more than once"],
         {"redis_users": [{"name": "shop", "passwords": ["a"]}, {"name": "shop", "passwords": ["b"]}]}),
    Case("user_of_the_name_of_celery_s", ["redis_users names shop more than once", "redis_celery_user"],
         {"redis_users": [{"name": "shop", "passwords": ["a"]}], "redis_celery_user": "shop", "redis_celery_password": "b"}),
    user("user_named_default", ["redis_users names the user default", "redis_default_user_enabled"], name="default"),
    user("user_named_with_a_space", ['the name "a b"', "without spaces"], name="a b"),
    Case("user_without_a_name", ["redis_users", "missing", "name"], {"redis_users": [{"passwords": ["secret"]}]}),
    user("unknown_key_of_a_user", ["redis_users", "password"], password="secret"),
    user("user_without_a_password", ["no password for shop", "enabled: false"], passwords=[]),
    user("user_with_an_empty_password", ["empty password for shop"], passwords=[""]),
    user("password_and_nopass", ["passwords and nopass for shop"], nopass=True),
    Case("nopass_on_the_network", ["nopass for shop", "0.0.0.0"],
         {"redis_bind": ["0.0.0.0"], "redis_password": "secret", "redis_users": [{"name": "shop", "nopass": True}]}),
    user("password_among_the_hashes", ["password_hashes of shop", "64 digits"], password_hashes=["secret"]),
    user("command_without_a_sign", ['"get" among the commands of shop', "+command"], commands=["get"]),
    user("key_with_a_space", ["white space among the keys of shop"], keys=["my keys"]),
    Case("rules_of_later_versions", ["channels for shop", "6.2", "keys for reading", "selectors for shop", "7.0", "here it is 6.0"],
         {"redis_users": [{"name": "shop", "passwords": ["secret"], "channels": ["news"], "keys": ["%R~a"], "selectors": [{"keys": ["b"]}]}],
          "ansible_facts": {"os_family": "Debian", "distribution": "Debian", "distribution_version": "11.11",
                            "distribution_major_version": "11"}}),
    Case("celery_user_without_a_password", ["redis_celery_user is celery", "redis_celery_password is empty"], {"redis_celery_user": "celery"}),
    Case("celery_password_without_a_user", ["redis_celery_password is set", "name the user"], {"redis_celery_password": "secret"}),
    Case("celery_user_named_default", ['redis_celery_user is "default"'], {"redis_celery_user": "default", "redis_celery_password": "secret"}),
    Case("celery_as_the_administrator", ["redis_celery_user and redis_admin_user are both ops"],
         {name: "ops" for name in ("redis_celery_user", "redis_celery_password", "redis_admin_user", "redis_admin_password")}),
    Case("old_passwords_of_nobody", ["redis_celery_old_passwords", "name that user"], {"redis_celery_old_passwords": ["secret"]}),
    Case("nobody_may_configure", ["redis_default_user_enabled is false", "redis_admin_user"], {"redis_default_user_enabled": False}),
    Case("default_user_off_and_none_for_celery", ["default user is off", "redis_celery_user"],
         {"redis_default_user_enabled": False, "redis_admin_user": "ops", "redis_admin_password": "secret"}),
    Case("users_among_directives", ["redis_config names user", "redis_users"], {"redis_config": {"user": "shop on"}}),
    Case("masteruser_among_directives", ["masteruser", "redis_admin_user"], {"redis_config": {"masteruser": "ops"}}),
]


@dataclass
class Run:
    """What a run of site.yml said to each host, and whether it left everything alone."""

    status: int
    messages: dict[str, str]
    output: str
    changed: set[str]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Runs site.yml. Facts are asked once: what is tested is what the play makes of them."""
    directory = tmp_path_factory.mktemp("play")

    def run(inventory: dict, *options: str, playbook: str = "taskqueue.stack.site") -> Run:
        (directory / "inventory.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        done = subprocess.run(
            ["ansible-playbook", *options, f"--inventory={directory / 'inventory.yml'}", playbook],
            env={
                **os.environ,
                "ANSIBLE_CACHE_PLUGIN": "jsonfile",
                "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(directory / "facts"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            },
            capture_output=True, text=True, check=False,
        )
        report = json.loads(done.stdout[done.stdout.index("{"):])
        messages: dict[str, str] = {}
        for step in (step for play in report["plays"] for step in play["tasks"]):
            for host, result in step["hosts"].items():
                if result.get("failed"):
                    texts = [result, *(item for item in result.get("results", []) if item.get("failed"))]
                    messages[host] = " ".join(" ".join(str(text.get("msg", "")) for text in texts).split())
        changed = {host for host, stats in report["stats"].items() if stats["changed"]}
        return Run(done.returncode, messages, done.stdout + done.stderr, changed)

    return run


@pytest.fixture(scope="module")
def connections() -> dict[str, dict]:
    """How each of the hosts is reached."""
    listing = json.loads(subprocess.check_output(["ansible-inventory", f"--inventory={INVENTORY}", "--list"]))
    return {name: listing["_meta"]["hostvars"][name] for name in ("ubuntu2404", "rhel9")}


@pytest.fixture(scope="module")
def shown(play: Callable[..., Run], connections: dict[str, dict], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The cases that need no run of their own.

    In one inventory each case is a host of its own, which is reached as one of the two is, and the play of check_input.yml
    runs on all of them; here it goes on with the others when it refuses one. Who is not refused in company, or not with these
    words, gets a run for itself.
    """
    (check,) = yaml.safe_load((PROJECT / "playbooks/check_input.yml").read_text(encoding="utf-8"))
    check = {**check, "any_errors_fatal": False, "vars": {"checked_groups": ["redis", "celery_worker", "celery_beat", "celery_flower"]}}
    playbook = tmp_path_factory.mktemp("check") / "check.yml"
    playbook.write_text(yaml.safe_dump([check]), encoding="utf-8")
    alone = {case.name for case in CASES if case.groups is not None or "ansible_facts" in case.variables}
    left, found = [case for case in CASES if case.name not in alone], set()
    for families in (["ubuntu2404", "rhel9"], ["rhel9", "ubuntu2404"]):
        # The family is in the name, because facts are remembered by name.
        names = {f"{case.name}.{family}": (case, family) for case, family in zip(left, itertools.cycle(families))}
        hosts = {
            name: {**connections[family], "ansible_host": family, **case.variables, **case.one_host}
            for name, (case, family) in names.items()
        }
        members: dict[str, dict] = {"redis": dict.fromkeys(hosts), "celery_worker": dict.fromkeys(hosts)}
        for name, (case, family) in names.items():
            members.setdefault(case.also or "redis", {})[name] = None
        children = {group: {"hosts": own} for group, own in members.items()}
        run = play({"all": {"hosts": hosts, "children": children}}, "--forks=10", playbook=str(playbook))
        assert not run.changed and "Traceback" not in run.output, run.output
        refused = {names[name][0].name: message for name, message in run.messages.items()}
        found |= {case.name for case in left if case.name in refused and all(word in refused[case.name] for word in case.words)}
        left = [case for case in left if case.name not in refused]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stops_before_anything_changes(case: Case, play: Callable[..., Run], connections: dict[str, dict], shown: set[str]) -> None:
    if case.name in shown:
        return
    groups = case.groups or dict.fromkeys(("redis", "celery_worker"), list(connections))
    # Whoever is neither of the two is one of them under another name.
    names = dict.fromkeys(name for members in groups.values() for name in members)
    hosts = {name: {"ansible_host": "ubuntu2404", **connections.get(name, connections["ubuntu2404"]), **case.variables} for name in [*connections, *names]}
    hosts["rhel9"].update({"ansible_host": "rhel9", **case.one_host})
    groups |= {case.also: ["rhel9"]} if case.also else {}
    children = {name: {"hosts": dict.fromkeys(members)} for name, members in groups.items()}
    extra = [f"--extra-vars={json.dumps(case.variables)}"] if "ansible_facts" in case.variables else []

    run = play({"all": {"hosts": hosts, "children": children}}, *extra)

    assert run.status != 0, run.output
    message = " ".join(run.messages.values())
    assert [word for word in case.words if word not in message] == [], run.output
    assert not run.changed, run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize("playbook", ["celery", "deploy"])
def test_beat_is_checked_before_the_workers_change(playbook: str, play: Callable[..., Run], connections: dict[str, dict]) -> None:
    children = {
        "redis": {"hosts": {"ubuntu2404": None}, "vars": {"redis_bind": ["0.0.0.0"], "redis_password": "secret"}},
        "celery_worker": {"hosts": dict.fromkeys(connections)},
        "celery_beat": {"hosts": {"rhel9": None}, "vars": {"celery_beat_schedule": {"nightly": {"task": "shop.report"}}}},
    }
    run = play({"all": {"hosts": connections, "children": children}}, playbook=f"taskqueue.stack.{playbook}")
    assert "celery_beat_schedule" in run.messages["rhel9"], run.output
    assert not run.changed, run.output


def test_the_hosts_are_as_they_were_born(host) -> None:
    for path in ("/etc/redis", "/etc/celery", "/opt/celery", "/usr/bin/redis-server"):
        assert not host.file(path).exists
    assert not host.user("celery").exists


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 25

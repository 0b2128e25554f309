# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URLs are read back by the libraries that will read them: kombu, Celery's result backends and redis-py."""

from __future__ import annotations

import ssl

import kombu
import pytest
from ansible.errors import AnsibleFilterError
from celery import Celery
from redis.connection import parse_url

from ansible_collections.taskqueue.stack.plugins.filter.redis_url import FilterModule, redis_url

SECRET = "s3cr3t-never-shown"
AWKWARD = ["@", ":", "/", "#", "%", "?", "&", " ", '"', "'", "\\", ";", "=", "+", "[", "]", "~", "{{", "\n", "%40", "é", "密码", "🔑"]
TLS = {"host": "h", "tls": True}


def read_backend(url: str) -> dict:
    return Celery(set_as_current=False, backend=url).backend.connparams


@pytest.mark.parametrize("config, url", [
    ({"host": "h"}, "redis://h:6379/0"),
    ({"host": "h", "port": "6380", "db": "2"}, "redis://h:6380/2"),
    ({"host": "h", "username": None, "password": "", "sentinels": [], "tls": "no"}, "redis://h:6379/0"),
    ({"host": "10.0.0.1", "password": "p"}, "redis://:p@10.0.0.1:6379/0"),
    ({"host": "h", "username": "u/", "password": "p@"}, "redis://u%2F:p%40@h:6379/0"),
    ({"host": "::1"}, "redis://[::1]:6379/0"),
    ({"host": "h", "tls": "yes"}, "rediss://h:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true"),
    ({**TLS, "cert_reqs": "none"}, "rediss://h:6379/0?ssl_cert_reqs=none"),
    ({"sentinels": ["a:1", {"host": "b"}, "[::1]:3"], "db": 1, "password": "p"},
     "sentinel://:p@a:1/1;sentinel://:p@b:26379/1;sentinel://:p@[::1]:3/1"),
])
def test_url(config: dict, url: str) -> None:
    assert FilterModule().filters()["redis_url"](config) == url


@pytest.mark.parametrize("text", [*AWKWARD, "".join(AWKWARD)])
def test_credentials_survive(text: str) -> None:
    password = f"{text}p{text}"
    url = redis_url({"host": "h", "db": 3, "username": text, "password": password})
    broker = kombu.Connection(url)
    assert (broker.hostname, broker.port, broker.virtual_host) == ("h", 6379, "3")
    assert (broker.userid, broker.password) == (text, password)
    for read in (read_backend(url), parse_url(url)):
        assert (read["host"], read["port"], read["db"]) == ("h", 6379, 3)
        assert (read["username"], read["password"]) == (text, password)


@pytest.mark.parametrize("host", ["::1", "2001:db8::3", "fe80::1%eth0", "fe80::1%ab0"])
def test_ipv6_survives(host: str) -> None:
    url = redis_url({"host": host, "port": 7000})
    broker = kombu.Connection(url)
    assert (broker.hostname, broker.port) == (host, 7000)
    assert (read_backend(url)["host"], parse_url(url)["host"]) == (host, host)


def test_tls_survives() -> None:
    files = {"ca_certs": "/etc/a b+c&d=é/ca.pem", "certfile": "/c.pem", "keyfile": "/k.pem"}
    url = redis_url({**TLS, "password": SECRET, **files})
    wanted = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **{f"ssl_{key}": path for key, path in files.items()}}
    assert kombu.Connection(url).ssl == wanted
    assert wanted.items() <= read_backend(url).items()
    assert {**wanted, "ssl_cert_reqs": "required"}.items() <= parse_url(url).items()


def test_sentinels_survive() -> None:
    password = "".join(AWKWARD)
    url = redis_url({"sentinels": ["a:1", {"host": "::1", "port": 2}], "db": 4, "username": "u", "password": password})
    broker = kombu.Connection(url)
    # kombu goes on to the next one when the first does not answer.
    for host, port in (("a", 1), ("::1", 2)):
        assert (broker.hostname, broker.port, broker.virtual_host) == (host, port, "4")
        assert (broker.userid, broker.password) == ("u", password)
        broker.maybe_switch_next()
    read = read_backend(url)
    assert [(host["host"], host["port"]) for host in read["hosts"]] == [("a", 1), ("::1", 2)]
    assert (read["db"], read["username"], read["password"]) == (4, "u", password)


@pytest.mark.parametrize("config, named", [
    ({}, "host"),
    ("redis://h", "dictionary"),
    ({"hots": "h"}, "hots"),
    ({"host": f"redis://:{SECRET}@h"}, "host"),
    ({"host": "[::1]"}, "host"),
    ({"host": "h:6379"}, "host"),
    ({"host": "a b"}, "host"),
    ({"host": 5}, "host"),
    ({"host": "h", "port": 0}, "port"),
    ({"host": "h", "port": 65536}, "port"),
    ({"host": "h", "port": True}, "port"),
    ({"host": "h", "port": "six"}, "port"),
    ({"host": "h", "db": -1}, "db"),
    ({"host": "h", "password": 12345}, "password"),
    ({"host": "h", "password": "\udcff" + SECRET}, "password"),
    ({"host": "h", "username": "u", "password": None}, "username"),
    ({"host": "h", "tls": "perhaps"}, "tls"),
    ({"host": "h", "ca_certs": "/ca.pem"}, "ca_certs"),
    ({**TLS, "cert_reqs": "CERT_NONE"}, "cert_reqs"),
    ({**TLS, "ca_certs": "ca.pem"}, "ca_certs"),
    ({**TLS, "ca_certs": "/a%20b.pem"}, "ca_certs"),
    ({**TLS, "keyfile": "/k.pem"}, "keyfile"),
    ({"sentinels": "a:1,b:2"}, "sentinels"),
    ({"sentinels": ["a"]}, "sentinels[0]"),
    ({"sentinels": ["a:1", "::1:2"]}, "sentinels[1]"),
    ({"sentinels": ["a:1", {"host": "b", "port": 99999}]}, "sentinels[1].port"),
    ({"sentinels": [{"name": "b"}]}, "sentinels[0]"),
    ({"sentinels": ["a:1"], "host": "h"}, "host"),
    ({"sentinels": ["a:1"], "tls": True}, "tls"),
])
def test_bad_input_names_the_key_and_no_secret(config: object, named: str) -> None:
    if isinstance(config, dict):
        config = {"password": SECRET, **config}
    with pytest.raises(AnsibleFilterError) as caught:
        redis_url(config)
    message = str(caught.value)
    assert named in message and ";" in message
    assert SECRET not in message

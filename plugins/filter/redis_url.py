# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the URL that Celery's broker and result backend both read as it was meant."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_url
short_description: Write the Redis or Sentinel URL that Celery reads
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - Turns host, port, credentials and TLS files into one URL for Celery's C(broker_url) and C(result_backend).
  - User names and passwords may hold any character; the filter escapes them.
  - With C(sentinels), the name of the primary and the Sentinels' own password do not fit into a URL. They belong in
    C(broker_transport_options) and C(result_backend_transport_options), as C(master_name) and C(sentinel_kwargs).
options:
  _input:
    description: The connection. Keys set to V(none) or to an empty string count as absent.
    type: dict
    required: true
    suboptions:
      host:
        description: Host name, IPv4 address, or IPv6 address without brackets. Required unless C(sentinels) is given.
        type: str
      port:
        description: TCP port. Not used with C(sentinels).
        type: int
        default: 6379
      db:
        description: Number of the database.
        type: int
        default: 0
      username:
        description: ACL user. Needs C(password).
        type: str
      password:
        description: Password of C(username), or of the default user.
        type: str
      tls:
        description: Connect by TLS. Not used with C(sentinels).
        type: bool
        default: false
      cert_reqs:
        description: What the server's certificate must prove. With V(required), it also has to name C(host).
        type: str
        choices: [required, optional, none]
        default: required
      ca_certs:
        description: Path on the Celery host of the CA certificates to trust, instead of the system's.
        type: path
      certfile:
        description: Path on the Celery host of the client's certificate.
        type: path
      keyfile:
        description: Path on the Celery host of the key of C(certfile). Not needed when C(certfile) holds both.
        type: path
      sentinels:
        description:
          - Redis Sentinels to ask for the primary, each as a dictionary with C(host) and C(port) (default 26379)
            or as a string V(host:port).
        type: list
        elements: raw
"""

EXAMPLES = r"""
- name: Show the URL of a plain Redis
  ansible.builtin.debug:
    msg: "{{ {'host': 'redis1.example.com', 'db': 1} | taskqueue.stack.redis_url }}"
  # redis://redis1.example.com:6379/1

- name: Set the broker URL of a Redis behind TLS and a password
  ansible.builtin.set_fact:
    broker_url: >-
      {{ {'host': 'redis1.example.com', 'password': vault_redis_password,
          'tls': true, 'ca_certs': '/etc/ssl/redis-ca.pem'} | taskqueue.stack.redis_url }}
  no_log: true

- name: Show the URL of a Redis behind Sentinels
  ansible.builtin.debug:
    msg: "{{ {'sentinels': ['s1:26379', 's2:26379', {'host': '2001:db8::3'}]} | taskqueue.stack.redis_url }}"
  # sentinel://s1:26379/0;sentinel://s2:26379/0;sentinel://[2001:db8::3]:26379/0
"""

RETURN = r"""
_value:
  description: The URL. It holds the password when one was given.
  type: str
"""

import ipaddress
import re
import typing as t
from urllib.parse import quote, urlencode

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.collections import is_string
from ansible.module_utils.parsing.convert_bool import boolean

TLS_FILES = ("ca_certs", "certfile", "keyfile")
KEYS = ("host", "port", "db", "username", "password", "tls", "cert_reqs", *TLS_FILES, "sentinels")
CERT_REQS = ("required", "optional", "none")


def fail(key: str, problem: str, remedy: str) -> t.NoReturn:
    # The value is never shown: a whole URL given as host would show its password.
    raise AnsibleFilterError(f"redis_url: {key} {problem}; {remedy}")


def get_text(key: str, value: t.Any) -> str:
    # is_string, as ansible-core before 2.19 passes vaulted values in a type of its own.
    if not is_string(value):
        fail(key, f"is of type {type(value).__name__}", "write text, in quotes when it looks like a number")
    return str(value)


def escape(key: str, value: t.Any) -> str:
    try:
        return quote(get_text(key, value), safe="")
    except UnicodeEncodeError:
        raise AnsibleFilterError(f"redis_url: {key} is not valid UTF-8; save the file it comes from as UTF-8") from None


def get_number(key: str, value: t.Any, low: int, high: int) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]+", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        fail(key, "is out of range or not a whole number", f"write a number from {low} to {high}")
    return value


def get_host(key: str, value: t.Any) -> str:
    host = get_text(key, value)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", host):
            fail(key, "is not a host name or an IP address", "write the name or address alone, without scheme or port")
        return host
    return f"[{quote(host, safe=':')}]" if address.version == 6 else host


def get_sentinel(key: str, value: t.Any) -> str:
    """Return the host and port of one Sentinel as a URL has them."""
    if is_string(value):
        match = re.fullmatch(r"(?:\[(?P<ipv6>.+)]|(?P<host>[^:]+)):(?P<port>[0-9]+)", str(value))
        if not match:
            fail(key, "does not name host and port", "write host:port, an IPv6 address in brackets")
        value = {"host": match["ipv6"] or match["host"], "port": match["port"]}
    if not isinstance(value, dict) or not {"host"} <= set(value) <= {"host", "port"}:
        fail(key, "is neither host:port nor a dictionary with host and port", "write one of the two")
    port = get_number(f"{key}.port", value.get("port", 26379), 1, 65535)
    return f"{get_host(f'{key}.host', value['host'])}:{port}"


def get_credentials(config: dict[str, t.Any]) -> str:
    if "password" not in config:
        if "username" in config:
            fail("username", "has no password", "add password, or leave username out")
        return ""
    user = escape("username", config["username"]) if "username" in config else ""
    return f"{user}:{escape('password', config['password'])}@"


def get_tls_query(config: dict[str, t.Any]) -> str:
    cert_reqs = config.get("cert_reqs", "required")
    if cert_reqs not in CERT_REQS:
        fail("cert_reqs", "is unknown", f"write one of {', '.join(CERT_REQS)}")
    if "keyfile" in config and "certfile" not in config:
        fail("keyfile", "has no certfile", "add certfile")
    query = {"ssl_cert_reqs": cert_reqs}
    if cert_reqs == "required":
        # redis-py before 6.0 accepts any name otherwise.
        query["ssl_check_hostname"] = "true"
    for key in TLS_FILES:
        if key in config:
            path = get_text(key, config[key])
            # Celery's result backend decodes these values twice, kombu once
            # (celery/backends/redis.py _params_from_url, kombu/utils/url.py): with % they would differ.
            if not path.startswith("/") or "%" in path:
                fail(key, "is not an absolute path without %", "write the file's path on the Celery host")
            query[f"ssl_{key}"] = path
    return "?" + urlencode(query, safe="/", quote_via=quote)


def redis_url(value: t.Any) -> str:
    """Return the URL for one Redis, or for the primary that Sentinels name."""
    if not isinstance(value, dict):
        fail("the input", "is not a dictionary", "write {'host': ...} | taskqueue.stack.redis_url")
    unknown = ", ".join(sorted(str(key) for key in set(value) - set(KEYS)))
    if unknown:
        fail(unknown, "is not known", f"use {', '.join(KEYS)}")
    config = {key: given for key, given in value.items() if not (given is None or given == "" or given == [])}

    try:
        tls = boolean(config.get("tls", False))
    except TypeError:
        fail("tls", "is not a boolean", "write true or false")
    credentials = get_credentials(config)
    db = get_number("db", config.get("db", 0), 0, 2**31 - 1)

    if "sentinels" in config:
        for key in ("host", "port"):
            if key in config:
                fail(key, "is not used with sentinels", "leave it out: the Sentinels name the primary")
        if tls:
            # Neither kombu nor Celery reads TLS options of a sentinel:// URL for both kinds of connection.
            fail("tls", "cannot be said in a Sentinel URL",
                 "leave it out and set broker_use_ssl, redis_backend_use_ssl and sentinel_kwargs in Celery's settings")
        if not isinstance(config["sentinels"], list):
            fail("sentinels", "is not a list", "write a list of host:port")
        hosts = [get_sentinel(f"sentinels[{index}]", given) for index, given in enumerate(config["sentinels"])]
        # Each part carries everything: kombu takes user, password and database from the part it switched to.
        return ";".join(f"sentinel://{credentials}{host}/{db}" for host in hosts)

    if not tls:
        for key in ("cert_reqs", *TLS_FILES):
            if key in config:
                fail(key, "is given without tls", "set tls: true, or leave it out")
    if "host" not in config:
        fail("host", "is missing", "write the name or address of the Redis host, or give sentinels")
    host = get_host("host", config["host"])
    port = get_number("port", config.get("port", 6379), 1, 65535)
    scheme, query = ("rediss", get_tls_query(config)) if tls else ("redis", "")
    return f"{scheme}://{credentials}{host}:{port}/{db}{query}"


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"redis_url": redis_url}

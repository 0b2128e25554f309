"""Certificates may lie on the host, where another tool renews them, instead of in the inventory. And clients may be asked for one without having to."""

from __future__ import annotations

from conftest import redis_cli, run_playbook

testinfra_hosts = ["ansible://redis"]

FILES = {"certificate": "server.crt", "key": "server.key", "ca": "ca.crt"}


def test_they_are_taken_from_there(host):
    variables = host.ansible.get_variables()
    with host.sudo():
        installed = {file: host.check_output(f"sha256sum </etc/redis/tls/{file}") for file in FILES.values()}
        host.check_output("install -d -m 0700 /root/pki && cp /etc/redis/tls/* /root/pki/ && rm /etc/redis/tls/server.crt")
    changes = {f"redis_tls_{part}": f"/root/pki/{file}" for part, file in FILES.items()} | {"redis_tls_auth_clients": "optional"}
    assert redis_cli(host, variables, "CONFIG", "GET", "tls-auth-clients")[1] == "yes"
    try:
        assert run_playbook(host, "redis", **changes) == 1
        with host.sudo():
            assert {file: host.check_output(f"sha256sum </etc/redis/tls/{file}") for file in FILES.values()} == installed
            key = host.file("/etc/redis/tls/server.key")
            assert (key.user, key.mode) == ("redis", 0o400)
        assert redis_cli(host, variables, "CONFIG", "GET", "tls-auth-clients")[1] == "optional"
        assert run_playbook(host, "redis", **changes) == 0
    finally:
        run_playbook(host, "redis")
    assert redis_cli(host, variables, "CONFIG", "GET", "tls-auth-clients")[1] == "yes"

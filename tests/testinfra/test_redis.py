"""Redis, as a user would look at it."""

from __future__ import annotations

import pytest
from conftest import flavor, is_open, ports, redis_cli

testinfra_hosts = ["ansible://redis"]

# What each system's own packages are.
VERSIONS = {"ubuntu2204": "6.0", "ubuntu2404": "7.0", "debian11": "6.0", "debian12": "7.0", "debian13": "8.0", "ubuntu2604": "8.0"}
VERSIONS |= {"rhel9": "6.2", "rocky9": "6.2", "ubi9": "6.2"}
VALKEY_VERSIONS = {"ubuntu2404": "7.2", "debian13": "8.1", "ubuntu2604": "9.0"}


def _on_debian(host) -> bool:
    return host.file("/etc/debian_version").exists and host.exists("apt-get")


def _data_directory(variables) -> str:
    return variables.get("redis_data_dir") or f"/var/lib/{flavor(variables)}"


def test_version(host, variables):
    versions = VERSIONS if flavor(variables) == "redis" else VALKEY_VERSIONS
    wanted = variables.get("redis_module_stream") or versions[variables["testbed_image"]]
    assert f"v={wanted}." in host.check_output(f"{flavor(variables)}-server --version")


def test_service_runs_and_starts_at_boot(host, variables):
    service = host.service(f"{flavor(variables)}-server" if _on_debian(host) else flavor(variables))
    assert service.is_running
    assert service.is_enabled


def test_configuration_belongs_to_the_distribution(host, variables):
    name = flavor(variables)
    with host.sudo():
        file = host.file(f"/etc/{name}/{name}.conf")
        assert file.user == name
        assert file.group == (name if _on_debian(host) else "root")
        assert file.mode == 0o640
        data = host.file(_data_directory(variables))
        assert (data.user, data.mode) == (name, 0o750)


def test_listens_where_the_inventory_says_and_nowhere_else(host, variables):
    with host.sudo():
        listening = {line.split()[3].rsplit(":", 1)[0].strip("[]") for port in ports(variables) for line in _sockets(host, port)}
    wanted = {address.lstrip("-") for address in variables.get("redis_bind", ["127.0.0.1", "-::1"])}
    assert "127.0.0.1" in wanted or "0.0.0.0" in wanted
    assert listening <= wanted
    assert listening >= wanted - {"::1"}


def _sockets(host, port: int) -> list[str]:
    return host.check_output(f"ss --no-header --listening --numeric --tcp 'sport = :{port}'").splitlines()


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("protected-mode", "yes"),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
    ],
)
def test_running_configuration(redis_config, directive, value):
    assert redis_config(directive) == value


def test_running_configuration_is_the_inventory_s(redis_config, variables):
    assert redis_config("dir") == _data_directory(variables)
    for directive, value in variables.get("redis_config", {}).items():
        assert redis_config(directive) == str(value)


def test_append_only_file_is_written(host, variables):
    persistence = dict(line.split(":", 1) for line in redis_cli(host, variables, "INFO", "persistence") if ":" in line)
    assert persistence["aof_enabled"] == "1"
    assert persistence["aof_last_write_status"] == "ok"


def test_refuses_whoever_has_no_password(host, variables):
    if is_open(variables):
        assert redis_cli(host, variables, "PING") == ["PONG"]
    else:
        assert redis_cli(host, variables, "PING", authenticate=False)[0].startswith("NOAUTH")
        assert redis_cli(host, variables, "PING") == ["PONG"]


def test_password_is_for_redis_and_root_alone(host, variables):
    passwords = {variables.get(f"redis_{name}password") for name in ("", "admin_", "celery_")} - {None, ""}
    if passwords:
        with host.sudo("nobody"):
            assert host.run(f"cat /etc/{flavor(variables)}/{flavor(variables)}.conf").failed
        with host.sudo():
            arguments = host.check_output("ps -eo args")
        assert [password for password in passwords if password in arguments] == []

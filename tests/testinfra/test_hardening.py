"""The Redis service is locked in by systemd, and does its work all the same."""

from __future__ import annotations

import re

import pytest
from conftest import flavor, redis_cli, until

testinfra_hosts = ["ansible://redis"]

# The worst exposure that is accepted, on systemd's scale of 0 to 10.
EXPOSURE = 1.5


@pytest.fixture
def show(host, variables):
    """A property of the service, as systemd sees it."""

    def get(name: str) -> str:
        return host.check_output(f"systemctl show --property={name} {flavor(variables)}.service").partition("=")[2]

    return get


def persistence(host, variables, name: str) -> str:
    return dict(line.split(":", 1) for line in redis_cli(host, variables, "INFO", "persistence") if ":" in line)[name]


def test_exposure(host, variables):
    if not variables.get("redis_hardening", True):
        pytest.skip("switched off in this inventory")
    report = host.check_output(f"systemd-analyze security --no-pager {flavor(variables)}.service")
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]) <= EXPOSURE, report


def test_settings_come_last_and_are_in_force(show, variables):
    assert show("DropInPaths").split()[-1].endswith("/taskqueue-stack.conf")
    assert show("NeedDaemonReload") == "no"
    assert show("Restart") == "always"
    assert show("ExecStop") == ""
    assert show("LimitNOFILE") == str(max(65535, int(variables.get("redis_config", {}).get("maxclients", 10000)) + 32))


def test_saves_rewrites_and_logs(host, variables, redis_config):
    """All that Redis writes: snapshot, append-only file, its own configuration, its log."""
    logfile, file = redis_config("logfile"), f"/etc/{flavor(variables)}/{flavor(variables)}.conf"
    # Without sudo where there is a password: sudo puts commands into the journal.
    with host.sudo():
        log = host.file(logfile)
        length = log.size
        # What the role wrote comes back afterwards, for tests of its owner and mode.
        host.check_output(f"cp --preserve=all {file} {file}.test")
    try:
        assert redis_cli(host, variables, "BGSAVE", "SCHEDULE")[0].startswith("Background saving")
        until(lambda: persistence(host, variables, "rdb_bgsave_in_progress") == "0")
        assert persistence(host, variables, "rdb_last_bgsave_status") == "ok"
        assert redis_cli(host, variables, "BGREWRITEAOF")[0].startswith("Background append only file rewriting")
        until(lambda: {persistence(host, variables, f"aof_rewrite_{state}") for state in ("in_progress", "scheduled")} == {"0"})
        assert persistence(host, variables, "aof_last_bgrewrite_status") == "ok"
        assert redis_cli(host, variables, "CONFIG", "REWRITE") == ["OK"]
    finally:
        with host.sudo():
            host.check_output(f"mv {file}.test {file}")
    with host.sudo():
        assert log.size > length


def test_kernel_is_as_redis_wants_it_or_was_not_to_be_changed(host, redis_config):
    assert int(host.file("/proc/sys/net/core/somaxconn").content_string) >= int(redis_config("tcp-backlog"))
    with host.sudo():
        kept = host.run("cat /etc/sysctl.d/60-taskqueue-redis.conf").stdout
        if host.run("test -w /proc/sys/vm/overcommit_memory").succeeded:
            assert host.file("/proc/sys/vm/overcommit_memory").content_string.strip() in ("1", "2")
        else:
            assert "overcommit" not in kept
        assert ("net.core.somaxconn = 8192" in kept) == (redis_config("tcp-backlog") == "8192")

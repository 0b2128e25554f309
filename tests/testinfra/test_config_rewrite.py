"""What Redis writes into its own file is no change to the next run."""

from __future__ import annotations

import subprocess

from conftest import flavor, redis_cli

testinfra_hosts = ["ansible://redis"]


def test_a_rewritten_file_is_left_as_redis_wrote_it(host, variables, pytestconfig):
    """An operator's CONFIG REWRITE, or Sentinel's: other words, order and quotes, and the same meaning."""
    name, file = variables["inventory_hostname"], f"/etc/{flavor(variables)}/{flavor(variables)}.conf"
    inventory = pytestconfig.getoption("--ansible-inventory")
    with host.sudo():
        # What the role wrote comes back afterwards, for tests of its owner and mode.
        host.check_output(f"cp --preserve=all {file} {file}.test")
    try:
        assert redis_cli(host, variables, "CONFIG", "REWRITE") == ["OK"]
        with host.sudo():
            rewritten = host.file(file).content_string
            assert rewritten != host.file(f"{file}.test").content_string
        done = subprocess.run(
            ["ansible-playbook", f"--inventory={inventory}", f"--limit=localhost,{name}", "taskqueue.stack.redis"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        assert done.returncode == 0, done.stdout
        (recap,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} ") and "changed=" in line)
        assert "changed=0 " in recap, done.stdout
        with host.sudo():
            assert host.file(file).content_string == rewritten
    finally:
        with host.sudo():
            host.check_output(f"mv {file}.test {file}")

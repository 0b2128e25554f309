"""What Redis writes into its own file is no change to the next run."""

from __future__ import annotations

from conftest import flavor, redis_cli, run_playbook

testinfra_hosts = ["ansible://redis"]


def test_a_rewritten_file_is_left_as_redis_wrote_it(host, variables):
    """An operator's CONFIG REWRITE, or Sentinel's: other words, order and quotes, and the same meaning."""
    file = f"/etc/{flavor(variables)}/{flavor(variables)}.conf"
    with host.sudo():
        # What the role wrote comes back afterwards, for tests of its owner and mode.
        host.check_output(f"cp --preserve=all {file} {file}.test")
    try:
        assert redis_cli(host, variables, "CONFIG", "REWRITE") == ["OK"]
        with host.sudo():
            rewritten = host.file(file).content_string
            assert rewritten != host.file(f"{file}.test").content_string
        assert run_playbook(host, "redis") == 0
        with host.sudo():
            assert host.file(file).content_string == rewritten
    finally:
        with host.sudo():
            host.check_output(f"mv {file}.test {file}")

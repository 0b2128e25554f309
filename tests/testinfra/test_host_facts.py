"""What the roles take a system for is what Ansible's own setup takes it for."""

from __future__ import annotations

NAMES = ("os_family", "distribution", "distribution_version", "distribution_major_version")


def test_the_system_is_described_in_the_words_of_setup(host):
    setup = host.ansible("ansible.builtin.setup", "gather_subset=!all,!min,distribution,selinux", check=False)["ansible_facts"]
    ours = host.ansible("taskqueue.stack.host_facts", check=False)
    # Ansible itself adds the interpreter that it found.
    assert {name: ours["ansible_facts"][f"ansible_{name}"] for name in NAMES} == {name: setup[f"ansible_{name}"] for name in NAMES}
    assert ours["selinux"]["enabled"] == (setup["ansible_selinux"]["status"] == "enabled")

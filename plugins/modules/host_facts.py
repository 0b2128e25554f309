#!/usr/bin/python
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Ask a host in one call what it is, and what of a task queue it has
version_added: "0.2.0"
description:
  - Fails on a system that the collection's roles do not know.
  - Answers what the roles ask before they do anything. A call to a host costs more than any of these questions, so they go together;
    M(ansible.builtin.setup), M(ansible.builtin.package_facts) and M(ansible.builtin.getent) would be three calls, and ask for everything.
options:
  packages:
    description:
      - Packages of the distribution to look for, by name, also with an architecture, and with rpm a version. A name that the
        distribution does not know is not installed.
    type: list
    elements: str
    default: []
  accounts:
    description:
      - Users to look for, by name. They are looked for where the machine itself looks, a directory service included.
    type: list
    elements: str
    default: []
  programs:
    description:
      - Programs to ask for their versions, by path. One that is not there, or does not start, has none.
    type: list
    elements: path
    default: []
  files:
    description:
      - Files to look for, by path.
    type: list
    elements: path
    default: []
  names:
    description:
      - Names of hosts to look up as the host itself does, its C(/etc/hosts) included.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: It only asks, and does so in check mode, too.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
author:
  - The taskqueue.stack maintainers (@taskqueue)
"""

EXAMPLES = r"""
- name: Ask the host what it is, and what it has
  taskqueue.stack.host_facts:
    packages: [redis-server, python3-venv]
    accounts: [celery]
    programs: [/usr/bin/redis-server]
  register: host
"""

RETURN = r"""
ansible_facts:
  description:
    - Which system it is, in the names and words of M(ansible.builtin.setup) (C(os_family), C(distribution), C(distribution_version),
      C(distribution_major_version)).
  type: dict
  returned: always
  sample: {"ansible_os_family": "Debian", "ansible_distribution": "Ubuntu", "ansible_distribution_version": "24.04"}
selinux:
  description: Whether SELinux is on, and the name of its policy.
  type: dict
  returned: always
  sample: {"enabled": true, "type": "targeted"}
asked:
  description: All that was asked for, so that a role can tell whether another one has asked for what it needs, too.
  type: list
  elements: str
  returned: always
  sample: [redis-server, python3-venv, celery, /usr/bin/redis-server]
packages:
  description:
    - Name to state, of those of O(packages) that the package manager knows. V(installed) is what one would wish; dpkg has others, such
      as V(unpacked) after an installation that was cut off, and V(config-files) after a removal.
  type: dict
  returned: always
  sample: {"redis-server": "installed"}
cut_off:
  description:
    - Whether dpkg has to finish an installation, of whatever package, before apt does anything. Found when O(packages) are looked for. rpm
      finishes what it can by itself.
  type: bool
  returned: always
accounts:
  description: Name to primary group, of those of O(accounts) that are there.
  type: dict
  returned: always
  sample: {"celery": "celery"}
versions:
  description: Path to answer, of those of O(programs) that have one, as C(--version) gives it.
  type: dict
  returned: always
  sample: {"/usr/bin/redis-server": "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ad9fd4a5b4b8a5f3"}
files:
  description: Those of O(files) that are there.
  type: list
  elements: str
  returned: always
  sample: [/etc/ssl/private/redis.key]
addresses:
  description: Name to the address that is taken first, of those of O(names) that have one.
  type: dict
  returned: always
  sample: {"redis1.example.com": "192.0.2.1"}
"""

import contextlib
import glob
import grp
import os
import pwd
import socket

# Not ansible.module_utils.facts: any part of it brings the collectors of everything, which costs more than all the questions.
from ansible.module_utils import distro
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version

try:
    from ansible.module_utils.compat import selinux
except ImportError:
    # A system without its library, where it is off.
    selinux = None

# setup's spelling (DISTRIBUTION_... and OS_FAMILY_MAP of ansible.module_utils.facts.system.distribution), where it is another.
SPELLING = {"Redhat": "RedHat", "Almalinux": "AlmaLinux", "Centos": "CentOS", "Cloudlinux": "CloudLinux", "Oracle": "OracleLinux"}
FAMILIES = {"debian": "Debian", "rhel": "RedHat", "fedora": "RedHat"}
# How each package manager answers with a line "= name other-name ... state" a package: all the names by which it can be asked for. rpm ends
# with an error when one of them is unknown, and says so among the answers. dpkg reads its whole database for one answer, and is asked for all.
QUERIES = {
    "Debian": ["dpkg-query", "--show", "--showformat== ${Package} ${Package}:${Architecture} ${db:Status-Status}\n"],
    "RedHat": [
        "rpm", "--query", "--queryformat== %{NAME} %{NAME}.%{ARCH} %{NAME}-%{VERSION} %{NAME}-%{VERSION}-%{RELEASE} installed\n", "--"
    ],
}
# dpkg's states of packages with which it has nothing left to do, and where it writes down what it is about to do (see dpkg(1), --audit).
SETTLED = {"installed", "config-files", "not-installed"}
JOURNAL = "/var/lib/dpkg/updates"

UNKNOWN = (
    "This host runs {distribution} {distribution_version}, which taskqueue.stack does not know. It runs Redis and Celery on Ubuntu 22.04 to 26.04,"
    " Debian 11 to 13, RHEL 9 and its rebuilds, and Valkey on RHEL 10: take the host out of the collection's groups, or install one of these."
)


def system() -> dict[str, str]:
    """What setup says of the system, in its words."""
    name, release = get_distribution() or "", get_distribution_version() or ""
    # os-release(5): ID_LIKE names what a system is derived from, the closest first.
    ancestors = [distro.id(), *distro.like().split()]
    family = next((found for ancestor, found in FAMILIES.items() if ancestor in ancestors), name)
    return {
        "os_family": family,
        "distribution": SPELLING.get(name, name),
        "distribution_version": release,
        "distribution_major_version": release.partition(".")[0],
    }


def selinux_state(module: AnsibleModule) -> dict[str, object]:
    enabled = module.selinux_enabled()
    return {"enabled": enabled, "type": selinux.selinux_getpolicytype()[1] if selinux and enabled else ""}


def package_states(module: AnsibleModule, family: str, names: list[str]) -> tuple[dict[str, str], bool]:
    """The states of these packages, and whether any installation at all was cut off."""
    if not names:
        return {}, False
    _code, output, _error = module.run_command([*QUERIES[family], *(names if family == "RedHat" else [])], environ_update={"LC_ALL": "C"})
    answers = [line.split() for line in output.splitlines() if line.startswith("= ")]
    cut_off = family == "Debian" and (not SETTLED.issuperset(words[-1] for words in answers) or bool(glob.glob(f"{JOURNAL}/*")))
    return {name: words[-1] for words in answers for name in words[1:-1] if name in names}, cut_off


def account_groups(names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(KeyError):
            group = pwd.getpwnam(name).pw_gid
            found[name] = str(group)
            found[name] = grp.getgrgid(group).gr_name
    return found


def versions(module: AnsibleModule, programs: list[str]) -> dict[str, str]:
    found = {}
    for program in programs:
        # One that is not there, or that the kernel does not take for a program.
        with contextlib.suppress(OSError):
            code, output, _error = module.run_command([program, "--version"], environ_update={"LC_ALL": "C"}, handle_exceptions=False)
            if code == 0:
                found[program] = output.strip()
    return found


def addresses(names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0]
        except OSError:
            continue
    return found


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "accounts": {"type": "list", "elements": "str", "default": []},
            "programs": {"type": "list", "elements": "path", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    facts = system()
    if facts["os_family"] not in QUERIES:
        module.fail_json(msg=UNKNOWN.format(**facts))
    packages, cut_off = package_states(module, facts["os_family"], module.params["packages"])
    module.exit_json(
        changed=False,
        asked=[name for names in module.params.values() for name in names],
        ansible_facts={f"ansible_{name}": value for name, value in facts.items()},
        selinux=selinux_state(module),
        packages=packages,
        cut_off=cut_off,
        accounts=account_groups(module.params["accounts"]),
        versions=versions(module, module.params["programs"]),
        files=[path for path in module.params["files"] if os.path.lexists(path)],
        addresses=addresses(module.params["names"]),
    )


if __name__ == "__main__":
    main()

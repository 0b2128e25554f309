# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what keeps a certificate, its key and its CA from being accepted, before any host is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_problems
short_description: Find what keeps a certificate, its key and its CA from being accepted
version_added: "0.1.0"
author:
  - The taskqueue.stack maintainers (@taskqueue)
description:
  - "Returns a list of messages: which variable, what is wrong, what to write. An empty list means that a peer would accept the certificate
    today: key and certificate fit together, the CA signed it, it is valid by this machine's clock, for this purpose and by this name."
  - The answer is that of a TLS handshake in memory, so it takes OpenSSL's view. Nothing is sent, and of the key nothing is shown.
  - Files that lie on a host are not looked at, as the filter runs on the control node.
options:
  _input:
    description: The three files, each as PEM text, or as an absolute path on the host, or empty.
    type: dict
    required: true
    suboptions:
      certificate:
        description: The certificate, and below it the intermediate CAs.
        type: str
      key:
        description: Its key.
        type: str
      ca:
        description: The CA that signed it.
        type: str
  variables:
    description: What the user calls each of C(certificate), C(key), C(ca) and C(name).
    type: dict
    required: true
  purpose:
    description: Whose certificate it is.
    type: str
    choices: [server, client]
    default: server
  name:
    description: The name or address by which clients call the server. Empty, it is not compared.
    type: str
    default: ""
  password:
    description: The password of the key, where it has one.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Refuse a certificate that nobody would accept
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: >-
      {{ {'certificate': lookup('ansible.builtin.file', 'shop.crt'), 'key': vault_shop_key, 'ca': lookup('ansible.builtin.file', 'ca.crt')}
         | taskqueue.stack.certificate_problems({'certificate': 'shop.crt', 'key': 'vault_shop_key', 'ca': 'ca.crt', 'name': 'shop_host'},
                                                name='shop.example.com') }}
"""

RETURN = r"""
_value:
  description: The messages, each a sentence for a person.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.taskqueue.stack.plugins.module_utils._certificates import fault

FILES = ("certificate", "key", "ca")


def certificate_problems(
    value: t.Any, variables: dict[str, str], purpose: str = "server", name: str = "", password: str = "",
) -> list[str]:
    """Return the messages."""
    if not isinstance(value, dict) or set(value) - set(FILES):
        raise AnsibleFilterError("certificate_problems: give a dictionary with certificate, key and ca")
    if purpose not in ("server", "client"):
        raise AnsibleFilterError("certificate_problems: purpose is server or client")
    given = {file: str(value.get(file) or "") for file in FILES}
    missing = [variables[file] for file in FILES if not given[file]]
    present = [variables[file] for file in FILES if given[file]]
    if missing:
        what = f"{', '.join(present)} {'is' if len(present) == 1 else 'are'} set and " if present else ""
        return [f"{what}{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty: TLS needs certificate, key and CA. Give each as "
                "PEM text (lookup('ansible.builtin.file', ...) reads a file of the control node) or as an absolute path on the host."]
    odd = [variables[file] for file in FILES if "-----BEGIN " not in given[file] and not _is_path(given[file])]
    if odd:
        return [f"{', '.join(odd)}: neither PEM text (-----BEGIN ...) nor an absolute path on the host. Write one of them; "
                "lookup('ansible.builtin.file', ...) reads a file of the control node."]
    if any(_is_path(text) for text in given.values()):
        return []
    found = fault(**given, purpose=purpose, name=name, password=password)
    return [f"{variables[found.file]} {found.problem}: {found.remedy}."] if found else []


def _is_path(text: str) -> bool:
    return text.startswith("/") and "\n" not in text


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"certificate_problems": certificate_problems}

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LOGIN_ARGUMENTS in module_utils/_redis_peers.py are."""

from __future__ import annotations


class ModuleDocFragment:
    """How a module logs in to servers that replicate each other, and to their Sentinels."""

    DOCUMENTATION = r"""
options:
  login_user:
    description: User of the servers, with the right to configure them where the module is to change something.
    type: str
  login_password:
    description: Password of the servers.
    type: str
  sentinel_password:
    description: Password of the Sentinels.
    type: str
  tls:
    description: Given, servers and Sentinels are asked by TLS.
    type: dict
    suboptions:
      ca:
        description: The CA, as PEM text or as an absolute path on the host.
        type: str
      certificate:
        description: The certificate to show, in the same two forms.
        type: str
      key:
        description: Its key, in the same two forms.
        type: str
"""

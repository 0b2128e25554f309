# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CONNECTION_ARGUMENTS in module_utils/celery_client.py are."""

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches the broker."""

    DOCUMENTATION = r"""
options:
  env_file:
    description:
      - File on the host with E(CELERY_BROKER_URL), E(CELERY_RESULT_BACKEND) and, as JSON, E(CELERY_SETTINGS), one
        V(NAME='value') a line. Roles of this collection write it.
      - Of the settings, those that say where messages and results go are used, such as C(broker_transport_options) and
        C(task_default_queue).
      - It may be absent when O(broker_url) is given.
    type: path
    default: /etc/celery/celery.env
  broker_url:
    description:
      - URL of the broker, instead of the one in O(env_file).
      - The filter P(taskqueue.stack.redis_url#filter) writes such URLs.
    type: str
  transport_options:
    description:
      - Added to C(broker_transport_options) and C(result_backend_transport_options) of O(env_file).
      - Sentinels that want a password themselves need O(env_file), with C(sentinel_kwargs).
    type: dict
    suboptions:
      master_name:
        description: Name that the Sentinels have for the primary.
        type: str
      global_keyprefix:
        description: What all keys in Redis begin with.
        type: str
  python:
    description: Interpreter on the host that has Celery with Redis. The module runs in it.
    type: path
    default: /opt/celery/current/bin/python
"""

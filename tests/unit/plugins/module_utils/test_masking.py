# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils._masking import (
    Masker,
    environment_secrets,
    mask_urls,
    url_secrets,
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://user:pass@host/simple", "https://********@host/simple"),
        ("https://TOKEN@host/simple", "https://********@host/simple"),
        ("redis://:p@ss@host:6379/0", "redis://********@host:6379/0"),
        ("app @ git+https://u:p@host/x.git and https://host/y", "app @ git+https://********@host/x.git and https://host/y"),
        ("git+ssh://git@host/x.git", "git+ssh://git@host/x.git"),
        ("git+ssh://git:pw@host/x.git", "git+ssh://********@host/x.git"),
        ("celery[redis]==5.7.0", "celery[redis]==5.7.0"),
        ("someone@example.com", "someone@example.com"),
    ],
)
def test_user_part_of_urls_is_hidden(text: str, masked: str) -> None:
    assert mask_urls(text) == masked


def test_url_secrets_are_known_as_written_and_unescaped() -> None:
    assert {"u:p%40ss", "p%40ss", "p@ss"} <= url_secrets("x https://u:p%40ss@host y")


def test_environment_values_are_secret_but_for_names_of_code() -> None:
    secrets = environment_secrets({"DB_PASSWORD": "hunter2", "CELERY_APP": "shop.celery:app", "DJANGO_SETTINGS_MODULE": "shop.settings"})
    assert "hunter2" in secrets
    assert not secrets & {"shop.celery:app", "shop.settings"}


def test_passwords_inside_json_and_urls_are_secret() -> None:
    secrets = environment_secrets(
        {"CELERY_SETTINGS": '{"broker_transport_options": {"sentinel_kwargs": {"password": "deep-one"}, "x": [1, null]}}', "B": "redis://:in%2Furl@h"}
    )
    assert {"deep-one", "in/url", "in%2Furl"} <= secrets


def test_masker_hides_secrets_longest_first_and_leaves_short_words() -> None:
    mask = Masker({"secret", "secret-longer", "on", ""})
    assert mask("secret-longer on secret at redis://:x@h") == "******** on ******** at redis://********@h"

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps credentials out of what a person or a log gets to see."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

MASK = "********"

# Greedy up to the last "@" before a slash, so that an unescaped "@" in a password is covered too.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<userinfo>[^/\s'\"]*)@")
# Variables whose values say where code is, which error messages must be able to name.
_PLAIN_NAME = re.compile(r"(_APP|_MODULE|PATH)$")
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
# Masking shorter values would hide nothing and riddle every message with asterisks.
_SHORTEST = 4


def _is_login_only(match: re.Match) -> bool:
    """`ssh://git@host` names an account; in other schemes a lone user part is often a token."""
    return match["scheme"].endswith("ssh") and ":" not in match["userinfo"]


def mask_urls(text: str) -> str:
    """The text with the user part of every URL in it hidden."""
    return _USERINFO.sub(lambda m: m[0] if _is_login_only(m) else f"{m['scheme']}://{MASK}@", text)


def url_secrets(text: str) -> set[str]:
    """The user parts and passwords of the URLs in a text, as written and unescaped."""
    found: set[str] = set()
    for match in _USERINFO.finditer(text):
        if not _is_login_only(match):
            password = match["userinfo"].partition(":")[2]
            found |= {match["userinfo"], password, unquote(password)}
    return found


def _named_secrets(value: object, name: str = "") -> set[str]:
    if isinstance(value, dict):
        return set().union(*(_named_secrets(item, str(key)) for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(_named_secrets(item, name) for item in value))
    return {value} if isinstance(value, str) and _SECRET_NAME.search(name) else set()


def value_secrets(value: str) -> set[str]:
    """The passwords in a value: those of URLs, and in JSON at any depth those that their name gives away."""
    try:
        return url_secrets(value) | _named_secrets(json.loads(value))
    except ValueError:
        return url_secrets(value)


def environment_secrets(environment: dict[str, str]) -> set[str]:
    """What must not be shown of a process environment: passwords at any depth, and values that are not plainly harmless."""
    found: set[str] = set()
    for name, value in environment.items():
        found |= value_secrets(value)
        if not _PLAIN_NAME.search(name):
            found.add(value)
    return found


class Masker:
    """Hides known secrets, and the user part of any URL, in texts that other programs wrote."""

    def __init__(self, secrets: set[str]) -> None:
        self._secrets = sorted((s for s in secrets if len(s) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask_urls(text)

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that a service keeps its data in: whether it can be used as it is, be made, or neither.

What is made or taken over is exactly one directory. A missing parent is a misspelling or a disk that is not mounted, and files
of others are theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable

# A file system has this from its birth.
_NOBODY_S = {"lost+found"}


class Unfit(Exception):
    """It can neither be used nor be made. The text says why and what to do."""


def survey(path: str, user: str, allowed: Callable[..., bool] | None) -> str:
    """What has to be done: nothing (an empty text), `create` or `take over`.

    `allowed` answers conditions of test(1) as the user; None while there is no such user.
    """
    parent = os.path.dirname(path)
    if not os.path.lexists(path):
        if not os.path.isdir(parent):
            raise Unfit(f"{parent} does not exist. Mount or create it, or name another directory.")
        action = "create"
    elif not os.path.isdir(path):
        raise Unfit("it is no directory. Move it out of the way, or name another.")
    elif allowed is None or allowed("-w", path, "-a", "-x", path):
        return ""
    elif set(os.listdir(path)) - _NOBODY_S:
        raise Unfit(f"{user} may not write there, and it holds files of others. Give it to {user}, or name an empty or a new directory.")
    else:
        action = "take over"
    if allowed and not allowed("-x", parent):
        raise Unfit(f"{user} may not enter {parent}. Give {user} the right to it, or name another directory.")
    return action

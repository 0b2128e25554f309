# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host needs before its release is built, and when that begins."""

from __future__ import annotations

import pytest

from .templating import evaluate, holds, task

VARIABLES = ("celery_app/defaults/main.yml", "celery_app/vars/main.yml")


@pytest.mark.parametrize(
    ("family", "variables", "packages"),
    [
        # uv needs nothing that is not there, so nothing is installed before the build begins.
        ("Debian", {}, []),
        ("Debian", {"celery_app_installer": "uv"}, []),
        ("Debian", {"celery_app_installer": "pip"}, ["python3-venv"]),
        ("Debian", {"celery_app_python": "/usr/bin/python3.12"}, ["python3.12-venv"]),
        ("Debian", {"celery_app_python": "/opt/python/bin/python3"}, []),
        ("Debian", {"celery_app_source": "git+https://h/app.git", "celery_app_packages": ["libpq5"]}, ["git", "libpq5"]),
        ("RedHat", {}, ["python3.11"]),
        ("RedHat", {"celery_app_installer": "pip"}, ["python3.11"]),
        ("RedHat", {"celery_app_python": "/usr/bin/python3.12"}, ["python3.12"]),
    ],
)
def test_the_packages_that_a_build_needs(family: str, variables: dict, packages: list[str]) -> None:
    facts = {"ansible_facts": {"os_family": family}}
    assert evaluate("{{ __celery_app_all_packages }}", *VARIABLES, **facts, **variables) == packages
    known = {name: "installed" for name in evaluate("{{ __celery_app_package_candidates }}", *VARIABLES, **variables)}
    # Each of them was asked for before it was known which system this is.
    incomplete = evaluate("{{ __celery_app_incomplete }}", *VARIABLES, __celery_app_host={"packages": known}, **facts, **variables)
    assert incomplete is False


@pytest.mark.parametrize(
    ("files", "check", "begins"), [([], False, True), (["/opt/celery/current"], False, False), ([], True, False)]
)
def test_a_build_begins_in_the_background_where_there_is_no_release(files: list[str], check: bool, begins: bool) -> None:
    when = task("celery_app/tasks/begin_build.yml", "Begin to build the release")["when"]
    assert holds(when, *VARIABLES, __celery_app_host={"files": files}, ansible_check_mode=check) is begins


@pytest.mark.parametrize(
    ("result", "installer", "fails"),
    [
        ({"failed": False}, "auto", False),
        ({"failed": True}, "auto", True),
        ({"failed": True, "pip_missing": False}, "auto", True),
        # pip is installed next, and the release built with it.
        ({"failed": True, "pip_missing": True}, "auto", False),
        # It has been.
        ({"failed": True, "pip_missing": True}, "pip", True),
    ],
)
def test_a_build_that_lacks_pip_has_not_failed_yet(result: dict, installer: str, fails: bool) -> None:
    build = task("celery_app/tasks/release.yml", "Build the release beside the running one, prove it, switch to it with its environment")
    assert holds(build["failed_when"], *VARIABLES, __celery_app_release=result, celery_app_installer=installer) is fails
    again = task("celery_app/tasks/release.yml", "Build it with pip, as there is no uv to be had")
    assert holds(again["when"], *VARIABLES, __celery_app_release=result) is result.get("pip_missing", False)


@pytest.mark.parametrize(
    ("system", "packages"),
    [
        ("Debian 11", ["python3-distutils"]), ("Debian 12", []), ("Debian 13", []),
        ("Ubuntu 22", ["python3-distutils"]), ("Ubuntu 24", []), ("Ubuntu 26", []),
    ],
)
def test_uv_needs_more_of_older_systems(system: str, packages: list[str]) -> None:
    distribution, _space, release = system.partition(" ")
    facts = {"os_family": "Debian", "distribution": distribution, "distribution_major_version": release}
    assert evaluate("{{ __celery_app_all_packages }}", *VARIABLES, ansible_facts=facts) == packages
    assert set(packages) < set(evaluate("{{ __celery_app_package_candidates }}", *VARIABLES))

# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults, which decide, and its argument_specs, which are checked and documented, must say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())


def load(role: Path, name: str) -> dict:
    return yaml.safe_load((role / name).read_text(encoding="utf-8"))


def computed(value: object) -> bool:
    """Whether a default is an expression, which a specification can only describe."""
    return isinstance(value, str) and "{{" in value


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_are_roles() -> None:
    assert {"redis", "celery_app", "celery_worker", "os_update"} <= {role.name for role in ROLES}


def test_the_same_names(role: Path) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(load(role, "defaults/main.yml")) == set(options)


def test_the_same_default_values(role: Path) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = {name: value for name, value in load(role, "defaults/main.yml").items() if not computed(value)}
    assert {name: options[name].get("default") for name in defaults} == defaults


def test_computed_defaults_are_described_and_not_repeated(role: Path) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    for name, value in load(role, "defaults/main.yml").items():
        if computed(value):
            assert "default" not in options[name]
            assert "Default:" in str(options[name]["description"]), name


def test_public_names_carry_the_role_s_name(role: Path) -> None:
    assert [name for name in load(role, "defaults/main.yml") if not name.startswith(f"{role.name}_")] == []


def test_every_default_has_a_comment(role: Path) -> None:
    lines = (role / "defaults/main.yml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith(("#", " ", "-")):
            assert lines[number - 1].startswith("#"), f"{role.name}: {line}"


def test_the_input_is_checked_against_them(role: Path) -> None:
    """The playbooks turn Ansible's own check off, as it would be a task for each role."""
    if (role / "tasks/assert.yml").exists():
        text = (role / "tasks/assert.yml").read_text(encoding="utf-8")
        assert f"{{{{ __{role.name}_argument_errors\n      or lookup('ansible.builtin.vars', '__{role.name}_problems')" in text
        assert "argument_specs.main.options" in text

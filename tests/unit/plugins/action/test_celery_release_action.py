# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.taskqueue.stack.plugins.action.celery_release import ActionModule
from ansible_collections.taskqueue.stack.plugins.module_utils._source_tree import pack_tree, unpack_tree


class Action(ActionModule):
    """The plugin with a host that can be told which answers to give."""

    def __init__(self, base: Path, args: dict, answers: list[dict], background: int = 0) -> None:
        task = MagicMock(args=args, async_val=background, check_mode=False, diff=False)
        connection = MagicMock()
        connection._shell.join_path = lambda *parts: "/".join(parts)
        super().__init__(task, connection, MagicMock(check_mode=False), MagicMock(), MagicMock(), None)
        self._base = base
        self._answers = answers
        self.calls: list[dict] = []
        self.background: list[int] = []
        self.removed: list[str] = []

    def _find_needle(self, dirname, needle):
        path = self._base / needle
        if not path.exists():
            raise AnsibleError("Could not find or access")
        return str(path)

    def _execute_module(self, module_name=None, module_args=None, task_vars=None, **kwargs):
        assert module_name == "taskqueue.stack.celery_release"
        self.calls.append(module_args)
        self.background.append(kwargs["wrap_async"])
        return self._answers.pop(0)

    def _make_tmp_path(self, remote_user=None):
        (self._base / "remote").mkdir()
        return str(self._base / "remote")

    def _transfer_file(self, local_path, remote_path):
        Path(remote_path).write_bytes(Path(local_path).read_bytes())
        return remote_path

    def _fixup_perms2(self, remote_paths, remote_user=None, execute=True):
        pass

    def _remove_tmp_path(self, tmp_path, force=False):
        self.removed.append(tmp_path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tasks.py").write_text("x = 1\n")
    (tmp_path / "shop-1.0-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "shop.txt").write_text("")
    return tmp_path


def test_one_call_when_the_release_is_there(base: Path) -> None:
    action = Action(base, {"source": "shop", "python": "/p"}, [{"changed": False, "release": "x"}])
    assert action.run(task_vars={})["release"] == "x"
    assert [call["_source"] for call in action.calls] == [{"kind": "directory", "digest": pack_tree(str(base / "shop"))}]
    assert action.removed == []


def test_directory_is_sent_when_the_host_asks(base: Path) -> None:
    action = Action(base, {"source": "shop"}, [{"source_wanted": True, "changed": False}, {"changed": True}])
    result = action.run(task_vars={})
    assert result["changed"] is True
    assert "source_wanted" not in result
    sent = action.calls[1]["_source"]
    assert sent["digest"] == action.calls[0]["_source"]["digest"]
    unpack_tree(sent["archive"], str(base / "out"))
    assert (base / "out" / "tasks.py").read_text() == "x = 1\n"
    assert action.removed == [str(base / "remote")]


def test_wheel_keeps_its_name(base: Path) -> None:
    action = Action(base, {"source": "shop-1.0-py3-none-any.whl"}, [{"source_wanted": True}, {"changed": True}])
    action.run(task_vars={})
    described = action.calls[0]["_source"]
    assert (described["kind"], described["name"]) == ("archive", "shop-1.0-py3-none-any.whl")
    assert action.calls[1]["_source"]["archive"] == str(base / "remote" / "shop-1.0-py3-none-any.whl")


def test_in_the_background_the_source_is_left_to_the_module(base: Path) -> None:
    # At once: an answer that it is wanted would be heard by nobody.
    action = Action(base, {"source": "shop"}, [{"started": 1}], background=60)
    assert action.run(task_vars={})["started"] == 1
    assert action.background == [60]
    assert action.removed == []
    assert action.calls[0]["_source"]["directory"] == str(base / "remote")


@pytest.mark.parametrize("known", [True, False])
def test_a_build_hears_what_pip_s_own_index_is(base: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    pip = SimpleNamespace(PyPI=SimpleNamespace(simple_url="https://packages.example/simple")) if known else SimpleNamespace()
    monkeypatch.setattr("importlib.import_module", lambda _name: pip)
    wanted = Action(base, {"source": "shop", "_default_index": "https://forged"}, [{"source_wanted": True}, {"changed": True}])
    wanted.run(task_vars={})
    alone = Action(base, {"requirements": ["shop"]}, [{"started": 1}], background=60)
    alone.run(task_vars={})
    # Not the first call, as most runs build nothing.
    assert "_default_index" not in wanted.calls[0]
    assert [call["_default_index"] for call in (wanted.calls[1], alone.calls[0])] == ["https://packages.example/simple" if known else None] * 2


def test_without_a_source_all_of_it_is_in_the_background(base: Path) -> None:
    action = Action(base, {"requirements": ["shop"]}, [{"started": 1}], background=60)
    action.run(task_vars={})
    assert action.background == [60]


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"source": "git+https://host/x.git"},
        {"source": "shop", "release": "previous"},
        {"requirements": ["celery"], "_source": {"kind": "forged"}},
    ],
)
def test_without_a_local_source_the_arguments_pass_through(base: Path, args: dict) -> None:
    action = Action(base, args, [{"changed": False}])
    action.run(task_vars={})
    assert "_source" not in action.calls[0]


def test_source_that_changes_meanwhile_is_not_sent(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action(base, {"source": "shop"}, [{"source_wanted": True}])
    execute = action._execute_module

    def edit(**kwargs):
        (base / "shop" / "tasks.py").write_text("x = 2\n")
        return execute(**kwargs)

    monkeypatch.setattr(action, "_execute_module", edit)
    with pytest.raises(AnsibleActionFail, match="changed while it was being packed"):
        action.run(task_vars={})
    assert action.removed == [str(base / "remote")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nope", "'nope' does not exist on the controller"),
        ("git@host:x.git", "git\\+URL"),
        ("https://host/x.whl", "NAME @ URL"),
        ("shop.txt", "neither a directory nor one of"),
    ],
)
def test_bad_sources_are_refused_before_the_host_is_asked(base: Path, source: str, message: str) -> None:
    action = Action(base, {"source": source}, [])
    with pytest.raises(AnsibleActionFail, match=message):
        action.run(task_vars={})
    assert action.calls == []

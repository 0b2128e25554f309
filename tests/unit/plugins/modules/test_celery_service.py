# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ansible.module_utils import basic

from ansible_collections.taskqueue.stack.plugins.module_utils import _unit_records
from ansible_collections.taskqueue.stack.plugins.modules import celery_service

A, B = "celery-worker@a.service", "celery-worker@b.service"


def content(description: str = "one", extra: str = "") -> str:
    return f"# Managed by taskqueue.stack\n[Unit]\nDescription={description}\n[Service]\nExecStart=/bin/true\n{extra}[Install]\nWantedBy=multi-user.target\n"


class FakeSystemd:
    """As much of a service manager as the module can tell from the real one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.units: dict[str, dict] = {}
        self.calls: list[str] = []
        self.dies: set[str] = set()
        self.refuses = ""
        self.interrupt_before = ""
        self._invocations = 0

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        program, verb, *rest = argv
        if program == "journalctl":
            return 0, "Traceback\nKeyError: redis://:secret@host\n", ""
        if program == "systemd-analyze":
            return (1, "", f"{A}: {self.refuses}") if self.refuses else (0, "", "")
        if verb == self.interrupt_before:
            raise KeyboardInterrupt
        if verb == "show":
            return 0, "\n\n".join(self._show(name) for name in rest[1:]), ""
        self.calls.append(" ".join([verb, *rest]))
        for name in rest:
            self._apply(verb, name)
        return 0, "", ""

    def _apply(self, verb: str, name: str) -> None:
        unit = self.units.setdefault(name, {})
        if verb == "restart":
            self.start(name)
        elif verb == "stop":
            unit.update(active="inactive", pid=0)
        elif verb in ("reenable", "disable"):
            unit["enabled"] = verb == "reenable"

    def start(self, name: str) -> None:
        self._invocations += 1
        active = "activating" if name in self.dies else "active"
        self.units.setdefault(name, {}).update(
            active=active, pid=self._invocations, invocation=f"i{self._invocations}", started=int(time.monotonic() * 1e6)
        )

    def _show(self, name: str) -> str:
        unit = self.units.get(name, {})
        exists = (self.directory / name).exists()
        state = ("enabled" if unit.get("enabled") else "disabled") if exists else ""
        return "\n".join(
            [
                f"LoadState={'loaded' if exists else 'not-found'}",
                f"ActiveState={unit.get('active', 'inactive')}",
                f"MainPID={unit.get('pid', 0)}",
                f"InvocationID={unit.get('invocation', '')}",
                f"UnitFileState={state}",
                f"ExecMainStartTimestampMonotonic={unit.get('started', 0)}",
            ]
        )


class FakeSmokeTest:
    """The process that tests, and what there was in between its start and its end."""

    def __init__(self, systemd: FakeSystemd) -> None:
        self.systemd = systemd
        self.story: list[str] = []
        self.outcome: dict = {"sent": 6, "tasks": [{"worker": "a@h", "reason": None}]}

    def start(self, python: str) -> FakeSmokeTest:
        self.story.append(f"started {python}")
        return self

    def __enter__(self) -> FakeSmokeTest:
        return self

    def __exit__(self, *unused: object) -> None:
        self.story.append("ended")

    def run(self, params: dict, check_mode: bool) -> dict:
        self.params = params
        self.story += [*self.systemd.calls, "tested" + (" in check mode" if check_mode else "")]
        return dict(self.outcome)


class Host:
    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._tmp = tmp_path
        self.directory = tmp_path / "system"
        self.directory.mkdir()
        self.env = tmp_path / "celery.env"
        self.env.write_text("A=1\n")
        self.systemd = FakeSystemd(self.directory)
        monkeypatch.setattr(celery_service, "UNIT_DIRECTORY", str(self.directory))
        monkeypatch.setattr(celery_service, "UNIT_OWNER", (os.getuid(), os.getgid()))
        monkeypatch.setattr(_unit_records, "RECORDS", str(tmp_path / "records"))
        monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda module, argv: self.systemd.run(argv))
        self.smoke_test = FakeSmokeTest(self.systemd)
        monkeypatch.setattr(celery_service, "SmokeTestProcess", self.smoke_test.start)

    def run(self, *names: str, text: str | None = None, check: bool = False, diff: bool = False, **options: object) -> dict:
        arguments = {
            "units": [{"name": name, "content": text or content()} for name in names or (A, B)],
            "pattern": "celery-worker@*.service",
            "watch": [str(self.env)],
            "settle": 0,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_remote_tmp": str(self._tmp),
            **options,
        }
        self.systemd.calls.clear()
        self.smoke_test.story.clear()
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            celery_service.main()
        return json.loads(self._capsys.readouterr().out)

    def age(self) -> None:
        """Everything was written long before anything is started."""
        time.sleep(0.1)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def done(result: dict, what: str) -> list[str]:
    return [unit["name"] for unit in result["units"] if unit[what]]


def test_first_run_writes_enables_and_starts_all_at_once(host: Host) -> None:
    result = host.run()
    assert host.systemd.calls == ["daemon-reload", f"reenable {A} {B}", f"restart {A} {B}"]
    assert done(result, "written") == done(result, "enabled") == done(result, "started") == [A, B]
    assert done(result, "restarted") == []
    assert [unit["active_state"] for unit in result["units"]] == ["active", "active"]
    assert (host.directory / A).read_text() == content()
    assert (host.directory / A).stat().st_mode & 0o7777 == 0o644


def test_second_run_does_nothing(host: Host) -> None:
    host.run()
    result = host.run()
    assert (result["changed"], host.systemd.calls) == (False, [])
    assert done(result, "changed") == []


def test_only_the_unit_that_changed_is_restarted(host: Host) -> None:
    host.run()
    result = host.run(units=[{"name": A, "content": content("two")}, {"name": B, "content": content()}])
    assert host.systemd.calls == ["daemon-reload", f"reset-failed {A}", f"restart {A}"]
    assert done(result, "restarted") == [A]


def test_changed_environment_restarts_all_without_reload(host: Host) -> None:
    host.run()
    host.env.write_text("A=2\n")
    result = host.run()
    assert host.systemd.calls == [f"reset-failed {A} {B}", f"restart {A} {B}"]
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert host.run()["changed"] is False


def test_touched_environment_restarts_nothing(host: Host) -> None:
    host.run()
    host.env.write_text("A=1\n")
    assert host.run()["changed"] is False


@pytest.mark.parametrize("moment", ["daemon-reload", "restart"])
def test_interrupted_run_is_made_up_for(host: Host, moment: str) -> None:
    host.run()
    host.systemd.interrupt_before = moment
    with pytest.raises(KeyboardInterrupt):
        host.run(text=content("two"))
    host.systemd.interrupt_before = ""
    assert done(host.run(text=content("two")), "restarted") == [A, B]
    assert host.run(text=content("two"))["changed"] is False


def test_restart_by_somebody_else_counts(host: Host) -> None:
    host.run()
    host.env.write_text("A=2\n")
    host.age()
    host.systemd.start(A)
    assert done(host.run(), "restarted") == [B]


def test_start_by_somebody_else_before_the_change_does_not_count(host: Host) -> None:
    host.run()
    host.systemd.start(A)
    host.age()
    host.env.write_text("A=2\n")
    assert done(host.run(), "restarted") == [A, B]


def test_never_names_what_would_have_to_be_restarted(host: Host) -> None:
    host.run()
    for _run in range(2):
        result = host.run(text=content("two"), restart="never")
        assert result["restart_required"] == [A, B]
        assert not any(call.startswith("restart") for call in host.systemd.calls)
    assert done(host.run(text=content("two")), "restarted") == [A, B]


def test_units_that_are_not_wanted_go_and_others_stay(host: Host) -> None:
    foreign = host.directory / "celery-worker@mine.service"
    foreign.write_text("[Service]\nExecStart=/bin/true\n")
    (host.directory / "celery-beat.service").write_text(content())
    host.run()
    result = host.run(A)
    assert result["removed"] == [B]
    assert host.systemd.calls == [f"stop {B}", f"disable {B}", "daemon-reload"]
    assert sorted(path.name for path in host.directory.iterdir()) == ["celery-beat.service", A, foreign.name]
    assert host.run(A)["changed"] is False


def test_always_restarts_what_runs_and_leaves_a_file_without_content_as_it_is(host: Host) -> None:
    host.run()
    before = (host.directory / A).read_text()
    result = host.run(units=[{"name": A}], pattern=None, restart="always")
    assert (done(result, "restarted"), result["removed"]) == ([A], [])
    assert (host.directory / A).read_text() == before
    # It is known by now what runs.
    assert host.run()["changed"] is False


def test_a_unit_that_is_not_there_needs_its_content(host: Host) -> None:
    result = host.run(units=[{"name": A}])
    assert "give celery-worker@a.service its content" in result["msg"].replace(A, "celery-worker@a.service")


def test_what_was_found_brings_back_what_was(host: Host) -> None:
    host.run()
    changed = host.run(A, text=content("two"))
    assert [unit["name"] for unit in changed["before"]] == [A, B]
    host.run(units=changed["before"])
    assert sorted(path.name for path in host.directory.iterdir()) == [A, B]
    assert (host.directory / A).read_text() == content()
    assert host.run()["changed"] is False


def test_interrupted_removal_is_finished(host: Host) -> None:
    host.run()
    host.systemd.interrupt_before = "disable"
    with pytest.raises(KeyboardInterrupt):
        host.run(A)
    host.systemd.interrupt_before = ""
    assert host.run(A)["removed"] == [B]


def test_last_units_can_go(host: Host) -> None:
    host.run()
    assert host.run(units=[])["removed"] == [A, B]
    assert host.run(units=[])["changed"] is False


def test_no_pattern_removes_nothing(host: Host) -> None:
    host.run()
    assert host.run(A, pattern=None)["removed"] == []


def test_named_units_go_when_they_are_ours(host: Host) -> None:
    host.run(A, "celery-beat.service", pattern=None)
    (host.directory / "celery-flower.service").write_text("[Service]\nExecStart=/usr/bin/flower\n", encoding="utf-8")
    absent = ["celery-beat.service", "celery-flower.service", "celery-none.service"]
    assert host.run(A, pattern=None, absent=absent)["removed"] == ["celery-beat.service"]
    assert (host.directory / "celery-flower.service").exists()
    assert not host.run(A, pattern=None, absent=absent)["changed"]


def test_stopped_and_disabled(host: Host) -> None:
    host.run()
    result = host.run(state="stopped", enabled=False)
    assert host.systemd.calls == [f"disable {A} {B}", f"stop {A} {B}"]
    assert [unit["active_state"] for unit in result["units"]] == ["inactive", "inactive"]
    assert host.run(state="stopped", enabled=False)["changed"] is False
    assert done(host.run(), "started") == [A, B]


def test_new_target_is_linked_anew(host: Host) -> None:
    host.run(A)
    result = host.run(A, text=content().replace("multi-user", "other"))
    assert done(result, "enabled") == [A]
    assert f"reenable {A}" in host.systemd.calls


def test_wrong_mode_is_put_right_without_a_restart(host: Host) -> None:
    host.run()
    (host.directory / A).chmod(0o666)
    result = host.run()
    assert (done(result, "written"), done(result, "restarted")) == ([A], [])
    assert (host.directory / A).stat().st_mode & 0o7777 == 0o644


def test_check_mode_predicts_and_touches_nothing(host: Host) -> None:
    predicted = host.run(check=True)
    assert (predicted["changed"], done(predicted, "started")) == (True, [A, B])
    assert list(host.directory.iterdir()) == []
    host.run()
    assert host.run(check=True)["changed"] is False
    predicted = host.run(A, text=content("two"), check=True)
    assert (done(predicted, "restarted"), predicted["removed"]) == ([A], [B])
    assert (host.directory / B).exists()
    assert host.systemd.calls == []


def test_check_mode_knows_of_changes_to_come(host: Host) -> None:
    host.run()
    assert done(host.run(check=True, pending=True), "restarted") == [A, B]
    assert host.run(pending=True)["changed"] is False


def test_diff_shows_files_and_deeds(host: Host) -> None:
    host.run()
    diff = host.run(A, text=content("two"), diff=True, check=True)["diff"]
    assert (diff[0]["before"], diff[0]["after"]) == (content(), content("two"))
    assert [entry.get("prepared") for entry in diff[1:]] == [f"{B}: stopped, disabled and removed\n", f"{A}: restarted\n"]
    assert host.run(diff=True, check=True)["diff"] == []


def test_unit_that_dies_fails_with_its_journal_and_is_tried_again(host: Host) -> None:
    host.systemd.dies = {B}
    for _run in range(2):
        result = host.run()
        assert result["failed"] is True
        assert f"{B} does not stay active" in result["msg"]
        assert "KeyError: redis://********@host" in result["msg"]
        assert A not in result["msg"]
    assert done(result, "started") == [B]
    host.systemd.dies = set()
    assert done(host.run(), "started") == [B]


def test_process_that_is_restarted_over_and_over_is_a_failure(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    show = host.systemd._show

    def crash_looping(name: str) -> str:
        if host.systemd.units.get(name, {}).get("active"):
            host.systemd.start(name)
        return show(name)

    monkeypatch.setattr(host.systemd, "_show", crash_looping)
    assert "does not stay active (active" in host.run()["msg"]


def test_restart_that_systemd_refuses_is_a_failure(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    monkeypatch.setattr(host.systemd, "start", lambda name: None)
    assert host.run(text=content("two"))["failed"] is True
    assert done(host.run(text=content("two"), check=True), "restarted") == [A, B]


def test_unit_that_systemd_refuses_does_not_reach_its_place(host: Host) -> None:
    host.run()
    host.systemd.refuses = "Command /x is not executable"
    result = host.run(text=content("two"))
    assert "units: systemd refuses" in result["msg"] and "not executable" in result["msg"]
    assert (host.directory / A).read_text() == content()
    assert host.systemd.calls == []


TEST = {"workers": ["a@h", "b@h"], "python": "/py"}


def test_units_that_run_are_proven(host: Host) -> None:
    result = host.run(A, smoke_test=TEST)
    assert host.smoke_test.story == ["started /py", "daemon-reload", f"reenable {A}", f"restart {A}", "tested", "ended"]
    assert host.smoke_test.params == {**TEST, "count": 6, "timeout": 30, "env_file": "/etc/celery/celery.env"}
    assert (result["changed"], result["smoke_test"]) == (True, host.smoke_test.outcome)
    result = host.run(A, smoke_test=TEST)
    assert (result["changed"], result["smoke_test"]["sent"]) == (False, 6)
    assert "smoke_test" not in host.run(A)
    assert host.smoke_test.story == []


def test_what_does_not_start_is_not_proven(host: Host) -> None:
    host.systemd.dies = {A}
    result = host.run(smoke_test=TEST)
    assert "does not stay active" in result["msg"] and "smoke_test" not in result
    assert host.smoke_test.story == ["started /py", "ended"]


def test_check_mode_proves_what_would_go_on(host: Host) -> None:
    assert "smoke_test" not in host.run(smoke_test=TEST, check=True)
    host.run()
    assert host.run(smoke_test=TEST, check=True)["smoke_test"]["sent"] == 6
    assert host.smoke_test.story == ["started /py", "tested in check mode", "ended"]
    for change in ({"text": content("two")}, {"pending": True}):
        assert "smoke_test" not in host.run(smoke_test=TEST, check=True, **change)
        assert host.smoke_test.story == ["started /py", "ended"]


@pytest.mark.parametrize(
    ("tasks", "named"),
    [([{"worker": "a@h", "reason": None}, {"worker": "b@h", "reason": "not_finished"}], [B]), ([], [A, B])],
)
def test_worker_that_is_not_proven_fails_with_its_journal(host: Host, tasks: list[dict], named: list[str]) -> None:
    host.run()
    host.smoke_test.outcome = {"failed": True, "msg": "It does not answer.", "reason": "worker_silent", "tasks": tasks}
    result = host.run(text=content("two"), smoke_test=TEST)
    assert result["failed"] is True
    assert result["msg"].splitlines()[0] == "It does not answer."
    assert [name for name in (A, B) if f"The journal of {name} ends with:\nTraceback" in result["msg"]] == named
    assert "KeyError: redis://********@host" in result["msg"]
    # What it takes to go back is there.
    assert (result["changed"], [unit["content"] for unit in result["before"]]) == (True, [content(), content()])
    assert result["smoke_test"] == {"msg": "It does not answer.", "reason": "worker_silent", "tasks": tasks}


@pytest.mark.parametrize(
    ("found", "remedy"),
    [("[Service]\n", "move it away"), ("-> /dev/null", "systemctl unmask"), ("-> /srv/x.service", "remove the link")],
)
def test_what_others_put_there_is_left_alone(host: Host, found: str, remedy: str) -> None:
    if found.startswith("-> "):
        (host.directory / A).symlink_to(found[3:])
    else:
        (host.directory / A).write_text(found)
    result = host.run()
    assert result["failed"] is True
    assert remedy in result["msg"]
    assert host.systemd.calls == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": [{"name": "../x.service", "content": content()}]}, "'../x.service'"),
        ({"units": [{"name": "a b.service", "content": content()}]}, "'a b.service'"),
        ({"units": [{"name": "celery-worker@.service", "content": content()}]}, "no name of a service"),
        ({"units": [{"name": "celery.timer", "content": content()}]}, "'celery.timer'"),
        ({"units": [{"name": "x" * 250 + ".service", "content": content()}]}, "no name of a service"),
        ({"units": [{"name": A, "content": content()}] * 2}, "named twice"),
        ({"units": [{"name": "celery-beat.service", "content": content()}]}, "does not match pattern"),
        ({"units": [{"name": A, "content": "[Service]\n"}]}, "Managed by taskqueue.stack"),
        ({"units": [{"name": A, "content": "# Managed by taskqueue.stack\n[Service]\n"}]}, "[Install]"),
        ({"absent": [A]}, "is also in units"),
        ({"pattern": "*"}, "pattern"),
        ({"watch": ["/tmp"]}, "watch: /tmp"),
        ({"smoke_test": {"workers": []}}, "smoke_test: workers is empty"),
        ({"smoke_test": {"workers": ["a"]}}, "write NAME@HOST"),
        ({"smoke_test": {"workers": ["a@h"], "count": 0}}, "smoke_test: count"),
        ({"smoke_test": {"workers": ["a@h"], "timeout": 0}}, "smoke_test: timeout"),
        ({"smoke_test": {"workers": ["a@h"]}, "state": "stopped"}, "smoke_test: units that are stopped"),
    ],
)
def test_bad_input_is_named_and_nothing_is_touched(host: Host, options: dict, words: str) -> None:
    result = host.run(**options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert (list(host.directory.iterdir()), host.systemd.calls) == ([], [])

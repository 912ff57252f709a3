# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows on the screen what a run did, which a module cannot do, and writes the report."""

from __future__ import annotations

import datetime as dt
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    read_document,
    write_document,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import (
    NAMED,
    Run,
    make_report,
    needing_somebody,
    rollout_lines,
    verify_lines,
)


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(
            argument_spec={
                "plan": {"type": "path"},
                "observed": {"type": "path"},
                "record_sets": {"type": "list", "elements": "path", "default": []},
                "started": {"type": "int"},
                "troubles": {"type": "dict", "default": {}},
                "dest": {"type": "path", "required": True},
                "fail_on_pending": {"type": "bool", "default": True},
            },
            required_one_of=[("plan", "observed")],
            required_by={"plan": "started"},
        )
        try:
            observed = read_document(params["observed"]) if params["observed"] else None
            if params["plan"]:
                result.update(self._rollout(params, observed))
            elif observed is not None:
                result.update(self._verify(params, observed))
        except DocumentError as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    def _rollout(self, params: dict[str, t.Any], observed: t.Optional[dict[str, t.Any]]) -> dict[str, t.Any]:
        run = Run(
            read_document(params["plan"]),
            observed,
            # A run that ended early did not come to all of them.
            [read_document(path) for path in params["record_sets"] if Path(path).exists()],
            self._task.check_mode,
            {str(host): str(text) for host, text in params["troubles"].items()},
        )
        started = dt.datetime.fromtimestamp(params["started"], dt.timezone.utc)
        report = make_report(run, started, dt.datetime.now(dt.timezone.utc))
        write_document(params["dest"], report)
        self._show(rollout_lines(report, params["dest"]))
        result: dict[str, t.Any] = {
            "changed": False,
            "counts": report["counts"],
            "hold_counts": report["hold_counts"],
        }
        failure = _failure(report)
        if failure and params["fail_on_pending"]:
            result.update(failed=True, msg=failure)
        return result

    def _verify(self, params: dict[str, t.Any], observed: dict[str, t.Any]) -> dict[str, t.Any]:
        write_document(params["dest"], observed)
        self._show(verify_lines(observed["domains"]))
        broken = [name for name, seen in observed["domains"].items() if seen["verdict"] == "broken"]
        result: dict[str, t.Any] = {"changed": False, "counts": {"broken": len(broken)}}
        if broken and params["fail_on_pending"]:
            result.update(failed=True, msg=f"{len(broken)} of {len(observed['domains'])} domains broken")
        return result

    def _show(self, lines: t.Sequence[str]) -> None:
        Display().display("\n" + "\n".join(lines) + "\n")


def _failure(report: dict[str, t.Any]) -> str:
    """Why the run is no success: what does not end by waiting; nothing if there is no such thing."""
    needing = needing_somebody(report)
    parts = []
    if report["failed_hosts"]:
        parts.append(f"policy hosts that failed: {', '.join(report['failed_hosts'])}")
    if needing:
        named = ", ".join(f"{domain} ({code})" for domain, code in list(needing.items())[:NAMED])
        more = ", ..." if len(needing) > NAMED else ""
        verb = "needs" if len(needing) == 1 else "need"
        parts.append(f"{len(needing)} of {len(report['domains'])} domains {verb} somebody: {named}{more}")
    return "; ".join(parts)

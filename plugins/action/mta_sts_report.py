# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows on the screen what a run did, which a module cannot do, and writes the report, its page and the metrics."""

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
    write_text,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._metrics import rollout_metrics, verify_metrics
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page import Assets, make_page
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import (
    NAMED,
    Run,
    make_report,
    needing_somebody,
    rollout_lines,
    verify_lines,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import make_verification

ASSETS = Path(__file__).parents[2] / "playbooks/files/report"


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
                "page": {"type": "path"},
                "metrics": {"type": "path"},
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
        self._write(params, report, rollout_metrics(report), observed)
        self._show(rollout_lines(report, params["page"] or params["dest"]))
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
        now = dt.datetime.now(dt.timezone.utc)
        started = now if params["started"] is None else dt.datetime.fromtimestamp(params["started"], dt.timezone.utc)
        document = make_verification(observed, started, now)
        self._write(params, document, verify_metrics(document))
        self._show(verify_lines(document["domains"], params["page"] or params["dest"]))
        broken = [name for name, seen in observed["domains"].items() if seen["verdict"] == "broken"]
        result: dict[str, t.Any] = {"changed": False, "counts": {"broken": len(broken)}}
        if broken and params["fail_on_pending"]:
            result.update(failed=True, msg=f"{len(broken)} of {len(observed['domains'])} domains broken")
        return result

    def _write(
        self,
        params: dict[str, t.Any],
        document: dict[str, t.Any],
        metrics: str,
        observed: t.Optional[dict[str, t.Any]] = None,
    ) -> None:
        write_document(params["dest"], document)
        if params["page"]:
            write_text(params["page"], make_page(document, _assets(), observed))
        # A look ahead is no news for those who watch.
        if params["metrics"] and not self._task.check_mode:
            write_text(params["metrics"], metrics)

    def _show(self, lines: t.Sequence[str]) -> None:
        Display().display("\n" + "\n".join(lines) + "\n")


def _assets() -> Assets:
    page, style, script = ((ASSETS / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return Assets(page, style, script)


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

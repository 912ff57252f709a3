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
    ReportDocuments,
    read_document,
    write_document,
    write_text,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._metrics import rollout_metrics, verify_metrics
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page import Assets, make_page
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import (
    Run,
    make_report,
    rollout_failure,
    rollout_lines,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._time_line import Reported, read_time_lines
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import (
    BROKEN,
    FAIL_ON,
    make_verification,
    verify_failure,
    verify_lines,
)

ASSETS = Path(__file__).parents[2] / "playbooks/files/report"


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    @few_collections()
    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(
            argument_spec={
                "plan": {"type": "path"},
                "observed": {"type": "list", "elements": "path", "default": []},
                "record_sets": {"type": "list", "elements": "path", "default": []},
                "started": {"type": "int"},
                "troubles": {"type": "dict", "default": {}},
                "probe_troubles": {"type": "dict", "default": {}},
                "dns_trouble": {"type": "str", "default": ""},
                "reports": {"type": "path"},
                "report_troubles": {"type": "dict", "default": {}},
                "dest": {"type": "path", "required": True},
                "page": {"type": "path"},
                "metrics": {"type": "path"},
                "fail_on_pending": {"type": "bool", "default": True},
                "fail_on": {"type": "str", "choices": list(FAIL_ON), "default": BROKEN},
            },
            required_by={"plan": "started"},
        )
        if not (params["plan"] or params["observed"]):
            raise AnsibleActionFail("one of the following is required: plan, observed")
        try:
            # One that failed has left nothing behind, which its trouble tells.
            seen = [read_document(path) for path in params["observed"] if not params["troubles"] or Path(path).exists()]
            result.update(self._rollout(params, seen) if params["plan"] else self._verify(params, seen))
        except DocumentError as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    def _rollout(self, params: dict[str, t.Any], seen: t.Sequence[dict[str, t.Any]]) -> dict[str, t.Any]:
        observed = seen[0] if seen else None
        plan = read_document(params["plan"])
        run = Run(
            plan,
            observed,
            # A run that ended early did not come to all of them.
            [read_document(path) for path in params["record_sets"] if Path(path).exists()],
            self._task.check_mode,
            _troubles(params["troubles"]),
            _troubles(params["probe_troubles"]),
            params["dns_trouble"],
            _reported(params, {entry["domain"] for entry in plan["domains"]}),
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
        failure = rollout_failure(report)
        if failure and params["fail_on_pending"]:
            result.update(failed=True, msg=failure)
        return result

    def _verify(self, params: dict[str, t.Any], seen: t.Sequence[dict[str, t.Any]]) -> dict[str, t.Any]:
        now = dt.datetime.now(dt.timezone.utc)
        started = now if params["started"] is None else dt.datetime.fromtimestamp(params["started"], dt.timezone.utc)
        reported = _reported(params, {name for observed in seen for name in observed["domains"]})
        document = make_verification(seen, started, now, _troubles(params["troubles"]), reported)
        self._write(params, document, verify_metrics(document))
        self._show(verify_lines(document, params["page"] or params["dest"]))
        result: dict[str, t.Any] = {
            "changed": False,
            "counts": document["counts"],
            "finding_counts": document["finding_counts"],
        }
        failure = verify_failure(document, params["fail_on"])
        if failure:
            result.update(failed=True, msg=failure)
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


def _reported(params: dict[str, t.Any], domains: set[str]) -> Reported:
    """What senders reported of domains."""
    documents = ReportDocuments(params["reports"]) if params["reports"] else {}
    return read_time_lines(documents, domains, _troubles(params["report_troubles"]))


def _troubles(given: dict[str, t.Any]) -> dict[str, str]:
    return {str(host): str(text) for host, text in given.items()}


def _assets() -> Assets:
    page, style, script = ((ASSETS / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return Assets(page, style, script)

#!/usr/bin/env bash
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

# The demo: MTA-STS is rolled out to a lab of real servers, one domain gets an MX host more, another one leaves, and the
# result is looked at as senders do. Called by 'make demo', which makes the environment. Run it as often as you like.
set -euo pipefail
cd "$(dirname "$0")/../.."
started=$SECONDS
lab=(python3 tests/lab/lab.py)
inventory=(--inventory .lab/demo/inventory --inventory tests/lab/demo)
log=.lab/demo-lab.log

# Ansible tells what it changes; what is in order already goes without saying.
export ANSIBLE_DISPLAY_OK_HOSTS=false ANSIBLE_DISPLAY_SKIPPED_HOSTS=false ANSIBLE_SHOW_TASK_PATH_ON_FAILURE=false

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}
fetch() {
    "${lab[@]}" ssh demo mx1 -- curl --silent --show-error --resolve "mta-sts.$2:443:$1" "https://mta-sts.$2/.well-known/mta-sts.txt"
}
look() {
    local host
    for host in web1 web2; do
        printf '%s serves for example.com:\n' "$host"
        fetch "$(address_of $host)" example.com | sed 's/^/    /'
    done
    printf 'DNS announces:\n    '
    "${lab[@]}" ssh demo ns1 -- dig +noall +answer @127.0.0.1 _mta-sts.example.com TXT
}
address_of() {
    python3 -c 'import json, sys
print(json.load(open(".lab/demo/inventory/hosts.yml"))["mta_sts_hosts"]["hosts"][sys.argv[1]]["ansible_host"])' "$1"
}

say "The lab: a name server, an ACME server, two policy hosts, two mail servers"
# LAB_SUITES="web1=trixie web2=trixie" takes other Debian releases.
read -ra suites <<<"${LAB_SUITES:-}"
"${lab[@]}" up --name demo "${suites[@]/#/--suite=}"
ansible-playbook "${inventory[@]}" tests/lab/site.yml >"$log" 2>&1 || { cat "$log"; exit 1; }

say "What would a rollout do?"
run ansible-playbook "${inventory[@]}" postmaster.mta_sts.rollout --check --diff

say "Roll out"
run ansible-playbook "${inventory[@]}" postmaster.mta_sts.rollout
look

say "Roll out again: example.com is to get a second MX host, and bücher.example leaves"
cat >.lab/demo-change.json <<'CHANGE'
{"mta_sts_domains": [
  {"domain": "example.com", "mx": ["mx1.lab.test", "mx2.lab.test"], "mode": "enforce", "testing_days": 0,
   "tlsrpt": ["mailto:tls-reports@example.com"]},
  {"domain": "example.org", "mx": ["mx1.lab.test"], "mode": "enforce"},
  {"domain": "example.net", "mx": ["mx1.lab.test", "mx2.lab.test"], "mode": "enforce"},
  {"domain": "bücher.example", "state": "absent"},
  {"domain": "broken.example", "mx": ["mx1.lab.test"]}
]}
CHANGE
run ansible-playbook "${inventory[@]}" postmaster.mta_sts.rollout --extra-vars @.lab/demo-change.json
look

say "Look at all five as a strict sender would"
run ansible-playbook "${inventory[@]}" postmaster.mta_sts.verify

say "Done in $((SECONDS - started)) s"
cat <<'END'
The lab goes on running. Some things to do with it:
    .lab/demo/mta-sts-run/report.html               what the rollout did, for a browser
    .lab/demo/mta-sts-run/verify.html               what senders see, for a browser
    python3 tests/lab/lab.py ssh demo web1          look around on a policy host
    make demo                                       roll out again, from where this ended
    make clean                                      remove it all
END

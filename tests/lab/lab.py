#!/usr/bin/python3
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test lab: real Debian hosts in podman containers, reached over SSH.

`lab.py up` makes the hosts and an inventory of them; the playbook site.yml then turns them into name server,
certificate authority and mail servers. Nothing but the standard library is used here, so that this runs
before any virtual environment exists.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import io
import ipaddress
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import typing as t
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CHECKOUT_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
STATE = CHECKOUT / ".lab"
CONTAINERS_CONF = STATE / "containers.conf"
LOCK = 9  # the file descriptor of .lab/.lock

DOMAIN = "lab.test"
DEFAULT_SUITE = "bookworm"
POLICY_HOSTS = "mta_sts_hosts"
HOSTS = {  # the last part of the address, and the group in the inventory
    "ns1": (10, "lab_ns"),
    "ca": (11, "lab_ca"),
    "web1": (21, POLICY_HOSTS),
    "web2": (22, POLICY_HOSTS),
    "mx1": (31, "lab_mx"),
    "mx2": (32, "lab_mx"),
    "out1": (41, "lab_sender"),
}
ON_DEMAND = {"out1": "trixie"}  # made only with --with; and the suite, as only a newer Postfix can report on TLS

# The Debian packages that the machine needs which runs the lab.
NEEDED = ["podman", "runc", "netavark", "containernetworking-plugins", "iptables", "iproute2"]
NEEDED += ["mmdebstrap", "debian-archive-keyring", "openssh-client"]

# The Debian packages that most tests find on a policy host.
INSTALLED = ["nginx", "certbot"]

# For machines where podman cannot start a container as it comes (cgroups v1, tight limits).
CAUTIOUS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""

# All that is ours carries one of these labels, and nothing else is ever touched.
LABEL_CHECKOUT = f"mta-sts-lab.checkout={CHECKOUT_ID}"
LABEL_LAB = "mta-sts-lab.name"


class LabError(Exception):
    """What the user has to know; the message says what to do."""


def say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def run(*command: str | Path, data: bytes = b"") -> str:
    # A podman that is killed leaves half a network behind, so it is let finish, whatever becomes of us: it has a
    # session of its own, where the shell keeps the lock for it. (It leaves processes behind, which must not.)
    holding = ("sh", "-c", f'"$@" {LOCK}>&-; exit', "sh", *command)
    alone: dict[str, t.Any] = {"pass_fds": [LOCK], "start_new_session": True}
    done: subprocess.CompletedProcess[bytes]
    done = subprocess.run(holding, input=data, capture_output=True, check=False, **alone)
    if done.returncode:
        error = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{shlex.join(map(str, command))} failed:\n{error}")
    return done.stdout.decode(errors="replace").strip()


def lock() -> None:
    """One of these at a time."""
    STATE.mkdir(exist_ok=True)
    with (STATE / ".lock").open("w") as file:
        os.dup2(file.fileno(), LOCK)
    try:
        fcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another run to end")
        fcntl.flock(LOCK, fcntl.LOCK_EX)


# --- the machine ----------------------------------------------------------------------------------------


def as_root(*command: str, data: bytes = b"") -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    settings = [f"CONTAINERS_CONF={CONTAINERS_CONF}"] if CONTAINERS_CONF.exists() else []
    return run(*sudo, "env", *settings, *command, data=data)


def podman(*args: str, data: bytes = b"") -> str:
    return as_root("podman", *args, data=data)


def check_machine() -> None:
    """See that all that the lab needs is there; root gets it installed."""
    if not shutil.which("dpkg-query"):
        raise LabError("the lab needs Debian, or a system made from it, with " + " ".join(NEEDED))
    known = run("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", "*").splitlines()
    missing = [package for package in NEEDED if f"{package} installed" not in known]
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if missing and os.geteuid() != 0:
        raise LabError(f"packages are missing; run: sudo {shlex.join(install)}")
    if missing:
        say("installing " + " ".join(missing))
        run("apt-get", "update")
        run("env", "DEBIAN_FRONTEND=noninteractive", *install)
    try:
        podman("version")
    except LabError as error:
        raise LabError(
            f"the lab needs root: run this as root, or as a user who may use sudo without a password\n{error}"
        ) from error


def image_of(suite: str) -> str:
    recipe = hashlib.sha256((HERE / "image.sh").read_bytes()).hexdigest()[:12]
    return f"localhost/mta-sts-lab:{suite}-{recipe}"


def build_image(suite: str) -> None:
    if podman("images", "--quiet", image_of(suite)):
        return
    say(f"building the image of Debian {suite} (a minute or two, once)")
    for left_over in STATE.glob(".build-*"):  # by a run that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=STATE) as directory:
        tarball = f"{directory}/{suite}.tar"
        as_root(str(HERE / "image.sh"), suite, tarball)
        changes = ('--change=CMD ["/sbin/init"]', f"--change=LABEL {LABEL_CHECKOUT}")
        podman("import", *changes, tarball, image_of(suite))


def installed(suite: str) -> str:
    """The image of hosts that have what the roles install, for tests that are not about that."""
    image = f"{image_of(suite)}-installed"
    if podman("images", "--quiet", image):
        return image
    say(f"installing packages in an image of Debian {suite} (once)")
    container = f"mta-sts-{CHECKOUT_ID}-installed-{suite}"
    podman("rm", "--force", "--ignore", container)  # left by a run that was killed
    install = ["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *INSTALLED]
    podman("run", f"--name={container}", "--network=none", image_of(suite), *install)
    podman("commit", "--quiet", '--change=CMD ["/sbin/init"]', container, image)
    podman("rm", container)
    return image


def check_podman(image: str) -> None:
    """Leave podman's defaults alone where they can start a container."""
    trial = ("run", "--rm", "--systemd=always", "--network=none", image, "true")
    try:
        podman(*trial)
    except LabError:
        say("podman as it comes cannot start a container here; telling it to use runc and cgroupfs")
        CONTAINERS_CONF.write_text(CAUTIOUS)
        podman(*trial)


def free_subnets(first: int) -> t.Iterator[str]:
    """Subnets that neither the machine nor podman uses, beginning with 10.203.<first>.0/24."""
    used = podman("network", "inspect", *podman("network", "ls", "--quiet").split())
    used += run("ip", "-4", "address") + run("ip", "-4", "route", "show", "table", "all")
    found = re.findall(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?", used)
    taken = {ipaddress.IPv4Network(text, strict=False) for text in found}
    for number in range(256):
        subnet = ipaddress.IPv4Network(f"10.203.{(first + number) % 256}.0/24")
        if not any(subnet.overlaps(other) for other in taken):
            yield str(subnet)


def resolvers() -> list[str]:
    """The machine's resolvers, except those on loopback, which no container can reach."""
    files = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
    text = "\n".join(file.read_text() for file in files if file.exists())
    found = dict.fromkeys(re.findall(r"^nameserver\s+([\d.]+)\s*$", text, re.MULTILINE))
    return [address for address in found if not address.startswith("127.")]


def remove(label: str) -> bool:
    """Remove the containers and networks with this label; say whether there were any."""
    containers = podman("ps", "--all", "--quiet", f"--filter=label={label}").split()
    networks = podman("network", "ls", "--quiet", f"--filter=label={label}").split()
    if containers:
        podman("rm", "--force", "--ignore", "--time=0", *containers)
    if networks:
        podman("network", "rm", "--force", *networks)
    return bool(containers or networks)


# --- a lab ----------------------------------------------------------------------------------------------


class Plan(t.NamedTuple):
    """What a lab is made from."""

    definition: str
    suites: dict[str, str]
    network: str
    subnet: str

    def address(self, host: str) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Network(self.subnet)[HOSTS[host][0]]


def definition_of(suites: dict[str, str]) -> str:
    """Changes with every file of the lab but its README: a lab that older files made is not reused."""
    digest = hashlib.sha256(json.dumps(suites).encode())
    for file in sorted(HERE.rglob("*")):
        if file.is_file() and file.suffix not in (".md", ".pyc"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def live_acme_root(plan: Plan) -> str:
    unverified = ssl._create_unverified_context()  # noqa: S323 - the answer itself is compared
    with contextlib.suppress(OSError):
        url = f"https://{plan.address('ca')}:15000/roots/0"
        return str(urllib.request.urlopen(url, timeout=5, context=unverified).read(), "ascii")
    return ""


class Lab:
    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = f"mta-sts-{CHECKOUT_ID}-{name}"
        self.labels = (f"--label={LABEL_CHECKOUT}", f"--label={LABEL_LAB}={self.prefix}")
        self.state = STATE / name
        self.key = self.state / "id_ed25519"
        self.acme_root = self.state / "trust/acme-root.crt"  # site.yml writes it
        self.trust_anchors = self.acme_root.with_name("anchors.json")  # this, too
        self.record = self.state / "lab.json"  # written last: without it, the lab is not whole

    def container(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def plan(self) -> Plan:
        if not self.record.exists():
            raise LabError(f"there is no lab {self.name!r}; make it with: lab.py up --name {self.name}")
        try:
            return Plan(**json.loads(self.record.read_text()))
        except (ValueError, TypeError):
            raise LabError(f"{self.record} is not of this version; run: lab.py up --name {self.name}") from None

    def up(self, suites: dict[str, str]) -> None:
        definition = definition_of(suites)
        if self.is_whole(definition):
            say(f"{self.name} is up already")
            return
        for suite in sorted(set(suites.values())):
            build_image(suite)
        check_podman(image_of(suites["ns1"]))
        self.down()
        started = time.monotonic()
        plan = Plan(definition, suites, *self.make_network())
        say(f"starting {len(suites)} hosts in {plan.subnet}")
        self.make_state(plan)
        self.make_hosts(plan, list(suites))
        self.record.write_text(json.dumps(plan._asdict(), indent=2))
        say(f"{self.name} is up after {time.monotonic() - started:.0f} s: {self.state}/inventory/hosts.yml")

    def down(self) -> None:
        if remove(f"{LABEL_LAB}={self.prefix}"):
            say(f"{self.name} was taken down")
        # What a killed `podman create` leaves behind has no label yet, but its name.
        podman("rm", "--force", "--ignore", *map(self.container, HOSTS))
        shutil.rmtree(self.state, ignore_errors=True)

    def is_whole(self, definition: str) -> bool:
        try:
            plan = self.plan()
        except LabError:
            return False
        running = podman("ps", f"--filter=label={LABEL_LAB}={self.prefix}", "--format={{.Names}}").split()
        if plan.definition != definition:
            say(f"{self.name} is from another definition")
        elif stopped := [host for host in plan.suites if self.container(host) not in running]:
            say(f"{self.name} is not whole: {', '.join(stopped)} not running")
        elif self.acme_root.exists() and self.acme_root.read_text().split() != live_acme_root(plan).split():
            say(f"{self.name} has an ACME server that was started anew: all it issued is worthless")
        else:
            return True
        return False

    def make_network(self) -> tuple[str, str]:
        # Never the same name twice: podman may remember addresses of a network that is gone.
        name = f"{self.prefix}-{secrets.token_hex(3)}"
        error = LabError("no network for the lab: all of 10.203.0.0/16 is in use")
        for subnet in free_subnets(first=int(CHECKOUT_ID, 16) % 256):
            try:
                podman("network", "create", "--disable-dns", *self.labels, f"--subnet={subnet}", name)
            except LabError as refused:  # somebody else may just have taken it
                error = refused
            else:
                return name, subnet
        raise error

    def make_state(self, plan: Plan) -> None:
        """Keys and inventory. Host keys are made here, so that none ever has to be trusted blindly."""
        self.state.mkdir(mode=0o700)
        self.acme_root.parent.mkdir()
        for name in (self.key.name, *plan.suites):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.state / name)
        known = [f"{plan.address(host)} {(self.state / f'{host}.pub').read_text()}" for host in plan.suites]
        (self.state / "known_hosts").write_text("".join(known))

        groups: dict[str, dict[str, t.Any]] = {group: {"hosts": {}} for _, group in HOSTS.values()}
        for host in plan.suites:
            groups[HOSTS[host][1]]["hosts"][host] = self.host_variables(plan, host)
        inventory = {POLICY_HOSTS: groups.pop(POLICY_HOSTS), "lab": {"children": groups}}
        write_private(self.state / "inventory/hosts.yml", inventory)
        write_private(self.state / "inventory/group_vars/all.yml", self.facts(plan))

    def host_variables(self, plan: Plan, host: str) -> dict[str, t.Any]:
        address = str(plan.address(host))
        public = {"mta_sts_public_addresses": [address]} if HOSTS[host][1] == POLICY_HOSTS else {}
        return {
            "ansible_host": address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": shlex.join(self.ssh_options()),
            # For each host and not for all, because the controller uses another Python.
            "ansible_python_interpreter": "/usr/bin/python3",
            **public,
        }

    def facts(self, plan: Plan) -> dict[str, t.Any]:
        return {
            "lab_name": self.name,
            "lab_state_dir": str(self.state),
            "lab_command": str(HERE / "lab.py"),
            "lab_domain": DOMAIN,
            "lab_network": plan.subnet,
            "lab_forwarders": resolvers(),
            "lab_ns_address": str(plan.address("ns1")),
            "lab_acme_directory": f"https://ca.{DOMAIN}:14000/dir",
            "lab_ca_file": str(self.acme_root),
            "lab_trust_anchors_file": str(self.trust_anchors),
            "lab_tsig_key_name": f"rollout.{DOMAIN}",
            "lab_tsig_secret": base64.b64encode(secrets.token_bytes(32)).decode(),
            "lab_tsig_powerless_key_name": f"powerless.{DOMAIN}",
            "lab_tsig_powerless_secret": base64.b64encode(secrets.token_bytes(32)).decode(),
        }

    def make_hosts(self, plan: Plan, hosts: list[str], image: t.Callable[[str], str] = image_of) -> None:
        images = {suite: image(suite) for suite in sorted({plan.suites[host] for host in hosts})}
        with ThreadPoolExecutor(len(hosts)) as threads:
            list(threads.map(lambda host: self.make_host(plan, host, images[plan.suites[host]]), hosts))

    def make_host(self, plan: Plan, host: str, image: str) -> None:
        container, address = self.container(host), plan.address(host)
        # To run Debian's units in their sandboxes, as a real host does.
        sandboxes = ["--cap-add=SYS_ADMIN"] if HOSTS[host][1] in ("lab_mx", "lab_sender") else []
        # A host that is made anew keeps its hardware address too: its neighbours remember it.
        podman(
            "create", f"--name={container}", f"--hostname={host}.{DOMAIN}", "--systemd=always", *self.labels,
            f"--network={plan.network}", f"--ip={address}", f"--mac-address=02:00:{address.packed.hex(':')}",
            f"--dns={plan.address('ns1')}", "--no-hosts", *sandboxes, image,
        )  # fmt: skip
        podman("cp", "-", f"{container}:/", data=self.identity(plan, host))
        podman("start", container)
        self.wait_for(plan, host)

    def identity(self, plan: Plan, host: str) -> bytes:
        """What sets a host apart from its image, as a tar archive."""
        content = {
            "etc/hosts": (0o644, f"127.0.0.1 localhost\n{plan.address(host)} {host}.{DOMAIN} {host}\n"),
            "etc/machine-id": (0o444, secrets.token_hex(16) + "\n"),
            "etc/ssh/ssh_host_ed25519_key": (0o600, (self.state / host).read_text()),
            "root/.ssh/authorized_keys": (0o600, self.key.with_suffix(".pub").read_text()),
        }
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, (mode, text) in content.items():
                member = tarfile.TarInfo(name)
                member.mode, member.size = mode, len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        return archive.getvalue()

    def ssh_options(self) -> list[str]:
        options = ["StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=5"]
        options += [f'UserKnownHostsFile="{self.state}/known_hosts"']
        return ["-F/dev/null", *(f"-o{option}" for option in options)]

    def ssh(self, plan: Plan, host: str, *command: str) -> list[str]:
        return ["ssh", *self.ssh_options(), "-i", str(self.key), f"root@{plan.address(host)}", *command]

    def wait_for(self, plan: Plan, host: str, seconds: float = 60) -> None:
        """Wait until a host lets us in."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                run(*self.ssh(plan, host, "true"))
            except LabError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def write_private(path: Path, content: t.Any) -> None:
    """Write JSON, which is YAML, too."""
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2) + "\n")


# --- the commands ---------------------------------------------------------------------------------------


def up(args: argparse.Namespace) -> None:
    hosts = [host for host in HOSTS if host not in ON_DEMAND or host in args.with_hosts]
    suites = {host: ON_DEMAND.get(host, DEFAULT_SUITE) for host in hosts}
    suites.update((host, suite) for host, suite in args.suite if host in suites)
    Lab(args.name).up(suites)


def down(args: argparse.Namespace) -> None:
    Lab(args.name).down()


def purge(_args: argparse.Namespace) -> None:
    remove(LABEL_CHECKOUT)
    for image in podman("images", "--quiet", f"--filter=label={LABEL_CHECKOUT}").split():
        try:
            podman("rmi", image)
        except LabError:
            say(f"image {image} stays, as a lab of another checkout uses it")
    shutil.rmtree(STATE)
    say("all labs of this checkout are gone")


def fresh(args: argparse.Namespace) -> None:
    lab = Lab(args.name)
    plan = lab.plan()
    podman("rm", "--force", "--ignore", "--time=0", *map(lab.container, args.host))
    lab.make_hosts(plan, args.host, installed if args.installed else image_of)


def stop(args: argparse.Namespace) -> None:
    podman("stop", "--time=5", Lab(args.name).container(args.host))


def start(args: argparse.Namespace) -> None:
    lab = Lab(args.name)
    podman("start", lab.container(args.host))
    lab.wait_for(lab.plan(), args.host)


def ssh(args: argparse.Namespace) -> t.NoReturn:
    lab = Lab(args.name)
    command = lab.ssh(lab.plan(), args.host, *args.command)
    os.execvp(command[0], command)  # noqa: S606


def lab_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,19}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use up to 20 of a-z, 0-9 and -")
    return text


def suite_of_host(text: str) -> tuple[str, str]:
    host, _, suite = text.partition("=")
    if host not in HOSTS or not re.fullmatch("[a-z]+", suite):
        raise argparse.ArgumentTypeError(f"{text!r}: write HOST=SUITE, with HOST one of {', '.join(HOSTS)}")
    return host, suite


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab.py", description="The test lab: real hosts in containers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: t.Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    make = command(up, "make a lab, or leave it alone if it is whole")
    make.add_argument("--suite", metavar="HOST=SUITE", type=suite_of_host, action="append", default=[])
    make.add_argument(
        "--with", metavar="HOST", dest="with_hosts", choices=ON_DEMAND, action="append", default=[],
        help="make this host, too: " + ", ".join(ON_DEMAND),
    )  # fmt: skip
    for sub in (make, command(down, "remove a lab")):
        sub.add_argument("--name", type=lab_name, default="dev", help="default: dev")
    command(purge, "remove all labs of this checkout, and the images")
    for sub, several in (
        (command(stop, "stop a host"), None),
        (command(start, "start a host that was stopped"), None),
        (renew := command(fresh, "make hosts anew from their images"), "+"),
        (enter := command(ssh, "log in to a host, or run a command there"), None),
    ):
        sub.add_argument("name", metavar="NAME", type=lab_name)
        sub.add_argument("host", metavar="HOST", choices=HOSTS, nargs=several)
    renew.add_argument("--installed", action="store_true", help="with the packages that the roles install")
    enter.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to be interrupted is to be killed: the next run heals
    try:
        if args.function is ssh:
            ssh(args)
        lock()
        check_machine()
        args.function(args)
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

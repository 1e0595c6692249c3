"""Patrons print on what stands elsewhere: on a printer in a network that is closed to them, and through print servers in the room.

Live machines with Debian 12 and 13 on both sides. The printer is the lab's print host, which speaks IPP (ippeveprinter) and takes
raw documents on its socket; beside them it has doors that nobody prints through. Everything that is printed is invented.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from checkout import Checkout, eventually, fresh_lab
from readingroom.apply import Engine, harden
from readingroom.fleet import load_site
from readingroom.lab import recipe

pytestmark = pytest.mark.lab
PRINTER, PATRON = "print-1", "patron-at-1"
PUBLIC: dict[str, Engine] = {"public-1": "pyinfra", "public-2": "ansible"}
SERVERS = ("staff-1", "staff-2")
ROOM, BACK = recipe.NETWORKS["room"], recipe.NETWORKS["back"]
ROLES = ("print_queue_purge", "firewall")
# Another one in the closed network, who is no printer: a second address of the print host.
NEIGHBOUR = 17
DOORS = {"ipp": 631, "socket": 9100, "ssh": 22, "web": 80, "secure web": 443, "web elsewhere": 8080}
PAGES = 3


def addresses_of(machine: str) -> tuple[str, str]:
    """A machine's addresses, of both families."""
    known = recipe.load().machine(machine)
    return known.address, known.address6


ADDRESSES = (*addresses_of(PRINTER), BACK.address(NEIGHBOUR), BACK.address6(NEIGHBOUR))

# Takes documents as a printer's socket does, one file each, and stands in for the printer's web pages.
PRINTER_OUT = "/run/paper"
SOCKETS = f"""
import itertools, pathlib, socket, threading
def listens(port):
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
def pages(door):
    while True:
        door.accept()[0].close()
for port in {tuple(port for name, port in DOORS.items() if "web" in name)}:
    threading.Thread(target=pages, args=(listens(port),)).start()
paper = listens({DOORS["socket"]})
for number in itertools.count():
    with paper.accept()[0] as link, pathlib.Path("{PRINTER_OUT}", f"raw-{{number}}").open("wb") as out:
        while some := link.recv(1 << 16):
            out.write(some)
"""
# Tells which of the ports answer at each of the addresses.
KNOCKS = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def answers(address, port):
    try:
        socket.create_connection((address, int(port)), 3).close()
        return f"{address} {port}"
    except OSError:
        return ""
addresses, ports = (one.split(",") for one in sys.argv[1:])
with ThreadPoolExecutor(32) as pool:
    print(*filter(None, pool.map(lambda one: answers(*one), [(a, p) for a in addresses for p in ports])), sep="\\n")
"""
# As if the last run had been this many seconds ago.
LATER = """
import json, pathlib, sys
path = pathlib.Path("/var/lib/readingroom/print-purge.json")
state = json.loads(path.read_text())
state["ages"] = {key: age + int(sys.argv[1]) for key, age in state["ages"].items()}
path.write_text(json.dumps(state))
"""


@dataclasses.dataclass(frozen=True)
class Document:
    """What a patron prints: a title, and a word on each of its pages."""

    title: str = dataclasses.field(default_factory=lambda: f"title-{secrets.token_hex(6)}")
    words: tuple[str, ...] = dataclasses.field(
        default_factory=lambda: tuple(secrets.token_hex(8) for _ in range(PAGES))
    )


@dataclasses.dataclass
class Branch(Checkout):
    """A library's branch: patrons' machines, print servers, and the printer that stands in the back office."""

    def harden(self, engine: Engine, *machines: str) -> None:
        """Bring both roles to these machines. Proving is these tests' own matter."""
        self.readingroom("compile", "elm")
        site = dataclasses.replace(load_site("elm", self.home), ssh_config=self.lab.ssh_config)
        done = harden(site, engine=engine, roles=ROLES, machines=machines)
        assert done.ok, [one.message for one in done.machines.values()]

    def prints(self, machine: str, queue: str) -> Document:
        """A patron prints. What is typed goes in by way of stdin, since the journal keeps command lines."""
        document = Document()
        font = "/Helvetica findfont 12 scalefont setfont"
        pages = "".join(f"{font} 72 700 moveto ({word}) show showpage\n" for word in document.words)
        typed = (
            # as it is written, so that its words can be looked for
            f"cd; gs -q -sDEVICE=pdfwrite -dCompressPages=false -o it.pdf - <<'END'\n{pages}END\n"
            f"lp -d {queue} -t {document.title} it.pdf && rm it.pdf\n"
        )
        self.lab.exec(machine, ["runuser", "-u", PATRON, "--", "sh", "-e"], input=typed)
        return document

    def waiting(self, machine: str) -> set[str]:
        """The queues in which a job waits, as root sees them."""
        return {line.split()[0].rpartition("-")[0] for line in self.run(machine, "lpstat -o").splitlines()}

    def under_way(self, machine: str) -> set[str]:
        """The queues that CUPS calls printing."""
        return set(re.findall(r"^printer (\S+) now printing", self.run(machine, "lpstat -p"), re.MULTILINE))

    def comes_out(self, document: Document) -> bool:
        """Has it arrived, with every word, and in their order?"""
        read = "gs -q -dSAFER -dPDFSTOPONWARNING -sDEVICE=txtwrite -o - $one 2>/dev/null | tr -s '[:space:]' ' '; echo"
        said = self.run(PRINTER, f"for one in $(ls -t {PRINTER_OUT}/*); do {read}; done", check=False)
        return any(tuple(line.split()) == document.words for line in said.splitlines())

    def traces(self, machine: str, document: Document) -> str:
        """Where the title, a word or the patron is still to be found. (Who logs in is the system log's matter, not printing's.)"""
        words = " ".join(f"-e {word}" for word in (document.title, *document.words))
        everywhere = "/var /etc /home /root /tmp /run/cups"
        script = (
            f"grep -rlaF {words} {everywhere} 2>/dev/null; grep -rlaF {PATRON} /var/spool/cups /var/cache/cups /var/log/cups\n"
            f"journalctl -q -o export | grep -aF {words} && echo the journal\n"
            f"journalctl -q -o export -u 'cups*' | grep -aF {PATRON} && echo the journal of CUPS"
        )
        return self.run(machine, script, check=False)

    def purge(self, machine: str, later: int = 0) -> None:
        """What the timer does, after so many seconds."""
        if later:
            self.run(machine, f"python3 - {later} <<'END'\n{LATER}END")
        # the unit's limit of starts is made for a timer, not for tests
        unit = "readingroom-print-purge.service"
        self.run(machine, f"systemctl reset-failed {unit}; systemctl start {unit}")

    def reached(self, machine: str, *addresses: str) -> set[str]:
        """Which doors of these addresses a machine reaches."""
        ports = ",".join(map(str, DOORS.values()))
        return set(self.run(machine, f"python3 - {','.join(addresses)} {ports} <<'END'\n{KNOCKS}END").splitlines())


@contextmanager
def unplugged(branch: Branch) -> Iterator[None]:
    """While the block runs, the print host is off, as far as anybody can tell."""
    cable = ["ip", "-n", branch.lab.places.switch, "link", "set", f"v-{PRINTER}"]
    subprocess.run([*cable, "down"], check=True)
    try:
        yield
    finally:
        subprocess.run([*cable, "up"], check=True)


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """Hardened print servers, and patrons' machines as found, with their queues."""
    with fresh_lab("printing", [*PUBLIC, *SERVERS, PRINTER]) as lab:
        branch = Branch(lab, tmp_path_factory.mktemp("branch"))
        branch.furnish(dict.fromkeys(PUBLIC, "public") | dict.fromkeys(SERVERS, "staff"))
        write_policy(branch)
        be_a_printer(branch)
        make_queues(branch)
        yield branch


def write_policy(branch: Branch) -> None:
    """The lab's, with the back office closed to patrons, and staff's machines printing for the room."""
    text, room = branch.policy_file.read_text(), f'[{ROOM.address(0)}/24, "{ROOM.six}::/64"]'
    for old, new in (
        ('closed: [10.88.0.0/24, "fd88::/64"]', f'closed: [{BACK.address(0)}/24, "{BACK.six}::/64"]'),
        ("  printing: {job_history: 1d}\n", f"  printing: {{listen: listed-networks, networks: {room}}}\n"),
        ("administered_from: [10.99.0.0/24]", "administered_from: [10.99.0.0/24]\n    incoming_ports: [tcp/631]"),
    ):
        assert old in text
        text = text.replace(old, new)
    # one of them lets nobody look into its queue at all
    branch.policy_file.write_text(f"{text}machines:\n  staff-2: {{printing: {{others_see: nothing}}}}\n")


def be_a_printer(branch: Branch) -> None:
    """Make a printer of the print host."""
    branch.lab.exec(PRINTER, ["tee", "/run/sockets.py"], input=SOCKETS)
    takes = f"-f application/pdf -c /usr/bin/cat -D file://{PRINTER_OUT}"
    prints = f"ippeveprinter -p {DOORS['ipp']} -n {PRINTER} -r off {takes} Office"
    branch.run(
        PRINTER,
        f"systemctl -q stop cups.socket cups.path cups.service; mkdir {PRINTER_OUT}\n"
        f"ip address add {BACK.address(NEIGHBOUR)}/24 dev eth0; ip address add {BACK.address6(NEIGHBOUR)}/64 dev eth0 nodad\n"
        f"systemd-run -q --unit=paper {prints}; systemd-run -q --unit=sockets python3 /run/sockets.py",
    )
    everything = all_doors()
    eventually(lambda: branch.reached(PRINTER, *ADDRESSES) == everything, "the printer is not up")


def make_queues(branch: Branch) -> None:
    """The print servers share one, and are hardened; patrons' machines have all."""
    for server in SERVERS:
        branch.run(server, f"lpadmin -p office -E -v ipp://{PRINTER}/ipp/print -m everywhere -o printer-is-shared=true")
    branch.harden("pyinfra", *SERVERS)
    for machine in PUBLIC:
        ways = {"ipp": f"ipp://{PRINTER}/ipp/print -m everywhere", "socket": f"socket://{PRINTER} -m raw 2>/dev/null"}
        ways |= {server: f"ipp://{server}/printers/office -m everywhere" for server in SERVERS}
        branch.run(
            machine, "\n".join([f"useradd -m {PATRON}", *(f"lpadmin -p {q} -E -v {way}" for q, way in ways.items())])
        )


def all_doors() -> set[str]:
    """Every door of the print host and of its neighbour, who is no printer."""
    own = {f"{address} {port}" for address in ADDRESSES[:2] for port in DOORS.values()}
    return own | {f"{address} {port}" for address in ADDRESSES[2:] for name, port in DOORS.items() if name != "ipp"}


@pytest.fixture(scope="module")
def hardened(branch: Branch) -> Branch:
    """Patrons' machines as well, side by side, each by another engine."""
    with ThreadPoolExecutor(len(PUBLIC)) as pool:
        for run in [pool.submit(branch.harden, engine, machine) for machine, engine in PUBLIC.items()]:
            run.result()
    return branch


def test_as_found_everything_is_reached_and_a_job_leaves_traces(branch: Branch) -> None:
    machine = next(iter(PUBLIC))
    assert branch.reached(machine, *ADDRESSES) == all_doors()
    document = branch.prints(machine, "ipp")
    eventually(lambda: branch.comes_out(document), "the printer prints nothing")
    # As it comes, CUPS writes who printed what up to half a minute later (DirtyCleanInterval).
    everything = ("/var/spool/cups/c", "/var/spool/cups/d")
    otherwise = "no title, name or contents are seen, so nothing can be proved"
    eventually(lambda: all(one in branch.traces(machine, document) for one in everything), otherwise, within=60)


@pytest.mark.parametrize("machine", PUBLIC)
@pytest.mark.parametrize("queue", ["ipp", "socket", *SERVERS])
def test_what_a_patron_prints_comes_out_whole_and_leaves_no_trace(hardened: Branch, machine: str, queue: str) -> None:
    document = hardened.prints(machine, queue)
    eventually(lambda: hardened.comes_out(document), "it did not arrive whole")
    for one in {machine, queue} & {*PUBLIC, *SERVERS}:
        eventually(lambda one=one: not hardened.traces(one, document), f"{one} still knows of it")  # type: ignore[misc]


@pytest.mark.parametrize("machine", PUBLIC)
def test_nothing_else_of_a_printer_or_a_print_server_is_reached(hardened: Branch, machine: str) -> None:
    paper = {f"{address} {DOORS[queue]}" for address in ADDRESSES[:2] for queue in ("ipp", "socket")}
    assert hardened.reached(machine, *ADDRESSES) == paper
    room = [address for server in SERVERS for address in addresses_of(server)]
    assert hardened.reached(machine, *room) == {f"{address} {DOORS['ipp']}" for address in room}


@pytest.mark.parametrize("machine", PUBLIC)
def test_a_job_for_a_printer_that_is_off_waits_five_minutes_and_is_gone(hardened: Branch, machine: str) -> None:
    with unplugged(hardened):
        documents = [hardened.prints(machine, queue) for queue in ("ipp", "socket")]
        eventually(lambda: hardened.under_way(machine) >= {"ipp", "socket"}, "the print service does not even try")
        hardened.purge(machine)
        assert hardened.waiting(machine) >= {"ipp", "socket"}, "a job went although its printer may just be waking up"
        hardened.purge(machine, later=300)
        assert not hardened.waiting(machine) & {"ipp", "socket"}
    for document in documents:
        eventually(lambda one=document: not hardened.traces(machine, one), "it is not all gone")  # type: ignore[misc]


def test_a_job_for_a_printer_that_takes_its_time_is_not_lost(hardened: Branch) -> None:
    machine = next(iter(PUBLIC))
    hardened.run(PRINTER, "systemctl kill -s STOP sockets")
    try:
        document = hardened.prints(machine, "socket")
        connected = f"ss -Htn 'dport = :{DOORS['socket']}'"
        eventually(lambda: hardened.run(machine, connected), "the printer does not even take it")
        hardened.purge(machine)
        hardened.purge(machine, later=300)
        assert "socket" in hardened.waiting(machine)
    finally:
        hardened.run(PRINTER, "systemctl kill -s CONT sockets")
    eventually(lambda: hardened.comes_out(document), "it did not arrive whole")


@pytest.mark.parametrize("server", SERVERS)
def test_nobody_in_the_room_sees_what_waits_in_a_print_server(hardened: Branch, server: str) -> None:
    machine, other = PUBLIC
    with unplugged(hardened):
        document = hardened.prints(machine, server)
        eventually(lambda: "office" in hardened.under_way(server), "the server does not even try")
        eventually(lambda: not hardened.traces(machine, document), "the patron's machine still knows of it")
        asks = "; ".join((f"lpstat -h {server} -W all -o", f"lpstat -h {server} -o -U {PATRON}",
                          f"ipptool -tv ipp://{server}/printers/office get-jobs.test"))  # fmt: skip
        for who in ("nobody", PATRON):
            said = hardened.run(other, f"runuser -u {who} -- sh 2>&1 <<'END'\n{asks}; true\nEND")
            assert "get-jobs" in said.lower()
            assert not [word for word in (PATRON, document.title) if word in said.replace(f"-U {PATRON}", "")]
        hardened.purge(server)
        assert "office" in hardened.waiting(server)
        hardened.purge(server, later=300)
        assert "office" not in hardened.waiting(server)
    eventually(lambda: not hardened.traces(server, document), "the server still knows of it")


def test_print_servers_keep_every_promise_of_both_roles(hardened: Branch) -> None:
    words = [word for role in ROLES for word in ("--role", role)]
    said = hardened.readingroom("verify", "elm", "--limit", ",".join(SERVERS), *words)
    assert said.count("print.network-access") == len(SERVERS)
    assert "Only the library's listed networks can talk to the print service" in said
    assert not [line for line in said.splitlines() if " print." in line and not line.startswith("  kept")], said

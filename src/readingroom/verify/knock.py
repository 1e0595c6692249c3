"""Knocking at a machine's own sshd, for checks of who may come in over the network.

It must not know any role or promise.
"""

from __future__ import annotations

import ipaddress
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from testinfra.host import Host

from readingroom.verify import probe


class Knock:
    """Tries to come in through this machine's own sshd, with a key made for the moment."""

    def __init__(self, host: Host, folder: str) -> None:
        self.host, self.folder = host, folder
        probe.run(host, f"ssh-keygen -q -t ed25519 -N '' -C '' -f {folder}/key")
        self.public = probe.run(host, f"cat {folder}/key.pub").strip()
        asked = probe.run(host, "sshd -T -C user=root,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22")
        self.port = next(line.split()[1] for line in asked.splitlines() if line.startswith("port "))
        listening = [line.split()[1] for line in asked.splitlines() if line.startswith("listenaddress ")]
        hosts = [address.rpartition(":")[0].strip("[]") for address in listening]
        anywhere = not hosts or any(ipaddress.ip_address(one).is_unspecified for one in hosts)
        self.address = "127.0.0.1" if anywhere else hosts[0]
        # newer sshd shut out an address after a few refusals: knock from another one each time
        self.from_anywhere = anywhere

    @contextmanager
    def with_key(self, login: str) -> Iterator[None]:
        """For the moment, our key is among those of `login`, in the file sshd itself looks at."""
        home = self._home(login)
        fingerprint = shlex.quote(self.public)
        kept = f"{self.folder}/before-{secrets.token_hex(4)}"
        keys = shlex.quote(f"{home}/.ssh/authorized_keys")
        folder = shlex.quote(f"{home}/.ssh")
        probe.run(
            self.host,
            f"h=$(stat -c %u:%g {shlex.quote(home)})\n"
            f"[ -d {folder} ] || {{ install -d -m 700 -o ${{h%:*}} -g ${{h#*:}} {folder}; touch {kept}.folder; }}\n"
            f"[ ! -e {keys} ] || cp -p {keys} {kept}\n"
            f"printf '\\n%s\\n' {fingerprint} >>{keys}\n[ -e {kept} ] || {{ chown $h {keys}; chmod 600 {keys}; }}",
        )
        try:
            yield
        finally:
            self.host.run(
                f"if [ -e {kept} ]; then cat {kept} >{keys}; touch -r {kept} {keys}; else rm -f {keys}; fi; "
                f"[ ! -e {kept}.folder ] || rmdir {folder}"
            )

    def has_key(self, login: str) -> bool:
        """Is our key still among those of `login`? A home that is emptied when a session ends takes it along."""
        keys = shlex.quote(f"{self._home(login)}/.ssh/authorized_keys")
        return bool(self.host.run(f"grep -qF {shlex.quote(self.public)} {keys}").rc == 0)

    def _home(self, login: str) -> str:
        return probe.run(self.host, f"getent passwd {shlex.quote(login)} | cut -d: -f6").strip()

    def by_key(self, login: str) -> bool:
        """Does sshd take our key for `login`? What happens after does not matter: a tunnel needs no shell."""
        return self._tried(login, "-o PreferredAuthentications=publickey -o PasswordAuthentication=no", "")

    def by_password(self, login: str, password: str) -> bool:
        """Does sshd take this password for `login`?"""
        give = f"{self.folder}/give"
        probe.run(self.host, f"printf '#!/bin/sh\\ncat %s\\n' {give}.word >{give}; chmod 700 {give}")
        probe.run(self.host, f"printf '%s\\n' {shlex.quote(password)} >{give}.word; chmod 600 {give}.word")
        askpass = f"SSH_ASKPASS={give} SSH_ASKPASS_REQUIRE=force DISPLAY=:0"
        methods = "-o PreferredAuthentications=password,keyboard-interactive -o PubkeyAuthentication=no"
        return self._tried(login, f"{methods} -o NumberOfPasswordPrompts=1", askpass, batch="no")

    def by_sftp(self, login: str) -> bool:
        """Does `login` get at files?"""
        options = self._options("yes")
        done = self.host.run(
            f"echo pwd | timeout 20 sftp -v -b - {options} -o User={shlex.quote(login)} {self.address}"
        )
        return _let_in(done.stderr)

    def _tried(self, login: str, how: str, environment: str, batch: str = "yes") -> bool:
        done = self.host.run(
            f"{environment} timeout 20 ssh -v -N -o ExitOnForwardFailure=yes -o ControlPath=none {self._options(batch)} {how} "
            f"-o PermitLocalCommand=yes -o LocalCommand='kill $PPID' {shlex.quote(login)}@{self.address}"
        )
        return _let_in(done.stderr)

    def _options(self, batch: str) -> str:
        source = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
        bind = f"-o BindAddress={source}" if self.from_anywhere else ""
        return (
            f"{bind} -F none -i {self.folder}/key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode={batch} "
            f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -o Port={self.port}"
        )


def _let_in(heard: str) -> bool:
    """What sshd decided; raises when it did not get as far as deciding, which says nothing."""
    # sshd says so only when PAM has let the account go on as well
    if "Authenticated to" in heard:
        return True
    if "Authentications that can continue" in heard or "Server accepts key" in heard or "Permission denied" in heard:
        return False
    raise RuntimeError("sshd neither let us in nor refused: " + heard[-300:])

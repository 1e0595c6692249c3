"""Runs on the machine, as root: a terminal at which somebody logs in through `login`, as at the console.

usage: terminal.py LOGIN FOLDER. The login shell is told to become FOLDER/agent; when login ends, so does this.
What is shown on the terminal goes to FOLDER/kept/shown.
"""

import os
import pty
import select
import sys
import time

login, folder = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp("login", ["login", "-f", login])
# login empties its terminal's input when it starts, so say it again whenever it is quiet, until it is heard
said = f"unset HISTFILE; [ -e {folder}/heard ] || exec /bin/sh {folder}/agent\n".encode()
shown = open(f"{folder}/kept/shown", "wb", buffering=0)
while os.waitpid(child, os.WNOHANG)[0] == 0:
    try:
        if select.select([terminal], [], [], 0.1)[0]:
            shown.write(os.read(terminal, 65536))
        elif not os.path.exists(f"{folder}/heard"):
            os.write(terminal, said)
    except OSError:  # nobody holds the other end, as while login hangs up whoever had the terminal before
        time.sleep(0.02)

"""Who may log in to this machine and who may administer it.

Both engines send these modules to the machine together with the policy's answers (see `../boot.py`): `plan` says what
would change and what must not be done, `apply` does what `plan` says. Standard library only; nothing is installed.
"""

"""Deletes records of use from this machine when they reach the age the library's policy allows.

A module per kind of record; `main` runs them in turn. Each goes by the age of what is *in* a file, never only by the
age of the file: a log that is written to every minute is a young file full of old lines. What was done is told in
counts. Must not know Ansible, pyinfra or the policy: it reads one settings file, and one marker that pauses it all.
"""

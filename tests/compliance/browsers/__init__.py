"""Browsers tried on the machine: `machine/` runs there, the rest here. See `machine/play.py` for how."""

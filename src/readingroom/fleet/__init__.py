"""A site: its inventory, its machines with their classes, and how they are reached.

`ansible-inventory` reads the inventory, so that every form Ansible takes works here and means the same to both
engines and to verification. This module must not know policies or controls.
"""

from .site import LAB, Machine, Ring, Site, inventory_of, load_site

__all__ = ["LAB", "Machine", "Ring", "Site", "inventory_of", "load_site"]

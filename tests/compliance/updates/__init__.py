"""What the checks of software_updates share: a private view of the machine, in which apt sees an archive of ours and no other."""

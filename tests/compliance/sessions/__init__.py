"""What the checks of session_reset share: real login sessions on the machine, what is left in them, and the search for it."""

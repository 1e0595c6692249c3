"""What the checks of screen_lock share: a real X session of a throw-away account, its picture, and keys typed into it."""

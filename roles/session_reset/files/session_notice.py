#!/usr/bin/python3 -B
"""A window that says, in one or more languages, how long the session has left; it counts down, and asks nothing.

Reads {"seconds": …, "texts": [{"title", "screen", "left"}, …]} from its standard input. Whoever started it takes it
away as soon as somebody touches the machine. Works without a window manager.
"""

import json
import sys

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GLib, Gtk  # noqa: E402 (versions first)

STYLE = b"""
window { background: #fff8e1; border: 6px solid #b71c1c; }
label { color: #1a1a1a; font-size: 15px; }
.title { font-size: 22px; font-weight: bold; }
.left { font-size: 22px; font-weight: bold; color: #b71c1c; }
"""


def main() -> None:
    """Show the window until it is taken away or the time is over."""
    said = json.load(sys.stdin)
    provider = Gtk.CssProvider()
    provider.load_from_data(STYLE)
    Gtk.StyleContext.add_provider_for_screen(
        Gdk.Screen.get_default(), provider, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION
    )
    window = Gtk.Window(title=said["texts"][0]["title"], type_hint=Gdk.WindowTypeHint.NOTIFICATION)
    window.set_decorated(False)
    window.set_keep_above(True)
    window.set_accept_focus(False)
    window.set_resizable(False)
    window.set_position(Gtk.WindowPosition.CENTER_ALWAYS)
    window.stick()
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10, margin=24)
    window.add(box)
    counters = []
    for texts in said["texts"]:
        box.add(_label(texts["title"], "title"))
        box.add(_label(texts["screen"], "text"))
        counter = _label("", "left")
        counters.append((counter, texts["left"]))
        box.add(counter)
    _count_down(int(said["seconds"]), counters)
    window.show_all()
    Gtk.main()


def _label(text: str, style: str) -> Gtk.Label:
    label = Gtk.Label(label=text, wrap=True, max_width_chars=60, xalign=0)
    label.get_style_context().add_class(style)
    return label


def _count_down(seconds: int, counters: list[tuple[Gtk.Label, str]]) -> None:
    end = GLib.get_monotonic_time() + seconds * 1_000_000

    def tick() -> bool:
        left = max(0, round((end - GLib.get_monotonic_time()) / 1_000_000))
        for label, text in counters:
            label.set_text(text.replace("{time}", f"{left // 60}:{left % 60:02}"))
        if left == 0:
            Gtk.main_quit()
        return True

    tick()
    GLib.timeout_add(500, tick)


if __name__ == "__main__":
    main()

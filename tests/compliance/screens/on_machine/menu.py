"""A program with an open menu: a small window of its own that holds keyboard and mouse until the program ends."""

import ctypes
import sys
import time

X = ctypes.CDLL("libX11.so.6")
X.XOpenDisplay.restype = ctypes.c_void_p
X.XDefaultRootWindow.restype = X.XCreateSimpleWindow.restype = ctypes.c_ulong
display = ctypes.c_void_p(X.XOpenDisplay(None))
root = ctypes.c_ulong(X.XDefaultRootWindow(display))
window = ctypes.c_ulong(X.XCreateSimpleWindow(display, root, 10, 10, 20, 20, 0, 0, ctypes.c_ulong(0xFFFFFF)))
X.XMapWindow(display, window)
X.XSync(display, 0)
keyboard = X.XGrabKeyboard(display, window, 1, 1, 1, ctypes.c_ulong(0))
mouse = X.XGrabPointer(display, window, 1, 4, 1, 1, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
if keyboard or mouse:
    sys.exit("the menu does not open")
print("open", flush=True)
time.sleep(90)

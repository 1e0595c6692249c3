"""Prints how many hundredths of a display look as they did before.

usage: alike.py PICTURE BEFORE, two files as Xvfb writes its frame buffer (XWD, four bytes for each dot)
"""

import struct
import sys


def dots(path: str) -> bytes:
    """The dots of a picture; colour tables and what stands before them are left out."""
    with open(path, "rb") as file:
        data = file.read()
    (header,) = struct.unpack_from(">I", data)
    (colours,) = struct.unpack_from(">I", data, 76)
    width, height = struct.unpack_from(">II", data, 16)
    start = header + colours * 12
    return data[start : start + width * height * 4]


now, before = dots(sys.argv[1]), dots(sys.argv[2])
same = sum(now[at : at + 3] == before[at : at + 3] for at in range(0, len(before), 4))
print(same * 400 // len(before))

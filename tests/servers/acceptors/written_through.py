"""A directory in which every write waits for the disk, whoever makes it: chattr +S.

An engine whose store knows no fsync can so be measured as a durable one. The files and directories
made in it later inherit the flag. The trap is a file system that takes no such flag (in memory, or
of a network): there the answer is no, and nothing may be measured under that name.
"""

import array
import fcntl
import os
from pathlib import Path
from typing import Final

# Of Linux, for machines of 64 bits: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_SYNC_FL.
GET: Final = 0x80086601
SET: Final = 0x40086602
SYNCHRONOUS: Final = 0x8


def write_through(directory: Path) -> bool:
    """Let every write in this directory wait for the disk; return whether it will."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(descriptor, GET, flags)
        flags[0] |= SYNCHRONOUS
        fcntl.ioctl(descriptor, SET, flags)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True

"""Makes fsync and fdatasync fail with EIO for the calling thread, by the kernel itself (a seccomp filter).

Rules of this module:
* It cannot be taken back: the thread, and whatever it starts, lives with it. The database's thread ends when the store
  is opened anew, and the next one is free of it.
* Real: the system call, its errno and all that SQLite makes of them. Not real: no page is marked clean that was not
  written, as Linux does after a failed fsync; the product must not rely on either, and opens everything anew.
"""

from __future__ import annotations

import ctypes
import errno
import platform

# Of linux/audit.h and the tables of system calls: architecture, fsync, fdatasync.
_NUMBERS = {"x86_64": (0xC000003E, 74, 75), "aarch64": (0xC00000B7, 82, 83)}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def fail_from_now_on() -> None:
    """Raises: OSError where the kernel has no seccomp; KeyError on an architecture that is not in the table."""
    architecture, fsync, fdatasync = _NUMBERS[platform.machine()]
    lines = (
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 0, 4, architecture),
        (_LOAD, 0, 0, 0),
        (_JUMP_IF_EQUAL, 1, 0, fsync),
        (_JUMP_IF_EQUAL, 0, 1, fdatasync),
        (_RETURN, 0, 0, _ERRNO | errno.EIO),
        (_RETURN, 0, 0, _ALLOW),
    )
    program = _Program(len(lines), (_Instruction * len(lines))(*(_Instruction(*line) for line in lines)))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        _PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "no seccomp filter can be set")

"""The leash: a small process between the gate and a tool it started, so that the tool ends when the gate does.

Run as `python -I -S leash.py FD GRACE_SEC COMMAND [ARG…]` in a session of its own; FD is one end of a socket pair with
the gate.

Rules of this module:
* Standard library only, and of that only what starts in milliseconds; it never imports another of our modules.
* It carries no data: the command inherits stdin, stdout and stderr, and the leash lets go of its own at once.
* FD at end of file means that the gate has closed it or is dead, however it died: after GRACE_SEC (the command has
  seen its stdin end too) the whole process group gets SIGTERM, and after another GRACE_SEC SIGKILL.
* One line on FD says that the command has started, or why it could not; when it ends, another says how. Then what is
  left of its group is killed, the leash with it.

Why not PR_SET_PDEATHSIG: it needs code between fork and exec (unsafe in a process with threads), reaches only the
direct child (`npx` and `uv run` start others), and exists on Linux only.
"""

import os
import select
import signal
import sys
import time


def run(gate_fd: int, grace_sec: float, command: list[str]) -> int:
    """Start `command`, watch it and the gate, and see the whole group to its end."""
    os.set_inheritable(gate_fd, False)
    ended = _wake_on_child_end()
    # Python ignores SIGPIPE and SIGXFSZ, and a shell without job control makes what it starts in the background ignore
    # SIGQUIT; the command is to start with their defaults.
    ordinary = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGQUIT]
    try:
        pid = os.posix_spawnp(command[0], command, os.environ, setsigdef=ordinary)
    except (OSError, ValueError) as error:
        _tell(gate_fd, f"cannot_start {getattr(error, 'strerror', None) or error}")
        return 127
    _tell(gate_fd, "started")
    _let_go_of_standard_streams()
    _watch(gate_fd, ended, pid, grace_sec)
    return 0


def _watch(gate_fd: int, ended: int, pid: int, grace_sec: float) -> None:
    poll = select.poll()
    poll.register(gate_fd, select.POLLIN | select.POLLHUP)
    poll.register(ended, select.POLLIN)
    deadlines: list[tuple[float, signal.Signals]] = []
    while True:
        wait_ms = None if not deadlines else max(0, int((deadlines[0][0] - time.monotonic()) * 1000) + 1)
        ready = {fd for fd, _ in poll.poll(wait_ms)}
        if ended in ready:
            os.read(ended, 512)
        told = _how_it_ended(pid)
        if told:
            _tell(gate_fd, told)
            os.killpg(0, signal.SIGKILL)
        if gate_fd in ready and not _gate_is_there(gate_fd):
            poll.unregister(gate_fd)
            now = time.monotonic()
            deadlines = [(now + grace_sec, signal.SIGTERM), (now + 2 * grace_sec, signal.SIGKILL)]
        while deadlines and time.monotonic() >= deadlines[0][0]:
            os.killpg(0, deadlines.pop(0)[1])


def _wake_on_child_end() -> int:
    """A descriptor that wakes at SIGCHLD. SIGTERM and its like are for the group; the leash outlives them."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _noted)  # a handler, not SIG_IGN: exec would hand an ignored signal on to the command
    return readable


def _noted(_number: int, _frame: object) -> None:
    pass


def _let_go_of_standard_streams() -> None:
    """Else the gate would never see the command's stdout end, nor the command its stdin."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def _how_it_ended(pid: int) -> str:
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return "gone"
    if not found:
        return ""
    if os.WIFSIGNALED(status):
        return f"killed {os.WTERMSIG(status)}"
    return f"exited {os.waitstatus_to_exitcode(status)}"


def _gate_is_there(gate_fd: int) -> bool:
    try:
        return bool(os.read(gate_fd, 64))
    except OSError:
        return False


def _tell(gate_fd: int, line: str) -> None:
    try:  # noqa: SIM105 - contextlib would take half as long again to start as all the rest
        os.write(gate_fd, line.encode("utf-8", "replace") + b"\n")
    except OSError:
        pass  # the gate is gone; there is nobody left to tell


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))

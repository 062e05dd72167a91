"""What a process does that `forked` of conftest.py has started: PROGRAM with WORDS."""

import os
import resource
import runpy
import signal
import sys

PROGRAM: str
WORDS: list[str]
ENVIRONMENT: dict[str, str]
OUTPUT: str
LARGEST_FILE: int | None


def main() -> None:
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{OUTPUT}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.environ.update(ENVIRONMENT)
    if LARGEST_FILE is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    sys.argv = [PROGRAM, *WORDS]
    if PROGRAM == "outcome":
        from outcome.cli import main as command

        command()
    elif PROGRAM.endswith(".py"):
        runpy.run_path(PROGRAM, run_name="__main__")
    else:
        runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)


if __name__ == "forked":
    main()

"""What a process does that `forked` of conftest.py has started: a program with words."""

import os
import resource
import runpy
import signal
import sys

from outcome.processes import end_with_parent


def main(
    program: str,
    words: list[str],
    environment: dict[str, str],
    folder: str | None,
    output: str,
    largest_file: int | None,
) -> None:
    end_with_parent()  # also if the tests are killed
    os.setsid()  # signals to its group are not for the tests
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.environ.clear()
    os.environ.update(environment)
    if folder is not None:
        os.chdir(folder)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = [program, *words]
    if program == "outcome":
        from outcome.cli import main as command

        command()
    elif program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "forked":
    main(**globals()["REQUEST"])

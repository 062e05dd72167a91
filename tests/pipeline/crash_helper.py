"""Kill a run at random moments, many times, from a process that has imported everything before.

python crash_helper.py STUDY OUT CACHE SEED MOMENTS SECONDS
"""

import os
import random
import signal
import sys
import time

import torch

from outcome import Study, run


def main() -> None:
    study, out, cache, seed, moments, seconds = sys.argv[1:]
    assert not torch.cuda.is_initialized()
    chance = random.Random(int(seed))
    killed = 0
    for _ in range(int(moments)):
        child = os.fork()
        if child == 0:
            run(Study.read(study, ["arms=[image]"]), out=out, cache=cache, jobs=1)
            os._exit(0)
        time.sleep(chance.uniform(0, float(seconds)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    print(killed)


if __name__ == "__main__":
    main()

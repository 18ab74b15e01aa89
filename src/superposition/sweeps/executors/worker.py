"""The program of a worker of this machine: its standard input tells it what to do, and ends with its driver.

The first line is JSON: path, address, name, folder, and the credentials of the run, which are therefore in no file,
environment or list of processes. Modules of ours are imported when the path is known.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
from typing import Any

AT_WORK = "at work"  # what it writes when it is


def main() -> None:
    """Works until the driver ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver acts on it
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the driver has ended
        return
    given = json.loads(line)
    threading.Thread(target=_end_with_driver, args=[given["folder"]], daemon=True).start()
    sys.path[:] = given["path"]
    asyncio.run(_work(given))


def _end_with_driver(folder: str) -> None:
    # By the descriptor: the lock of a buffer could be held by a thread that is gone.
    while os.read(0, 1024):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


async def _work(given: dict[str, Any]) -> None:
    from distributed import Security

    from superposition.sweeps.executors.cluster import quiet
    from superposition.sweeps.executors.servers import Worker

    security = Security(require_encryption=True, **given["credentials"])
    with quiet():  # what counts is told by the driver
        worker = Worker(
            given["address"],
            name=given["name"],
            nthreads=1,
            memory_limit=0,  # what a cell needs it gets; a limit would kill workers and hide why
            local_directory=given["folder"],
            host="127.0.0.1",
            security=security,
        )
        await worker
        # Errors of the start went to a file of the driver's; what cells print is for people.
        os.write(2, f"{AT_WORK}\n".encode())
        os.dup2(1, 2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        await worker.finished()
    os._exit(0)  # threads of cells may still be at work


if __name__ == "__main__":
    main()

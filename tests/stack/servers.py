"""Real Redis, NATS, Prometheus and PostgreSQL servers, each a process on a free port that it keeps.

    with redis_server() as redis:
        use(redis.url)
        redis.kill()  # SIGKILL, as a crash
        redis.start()  # on the same port, over the same data

A server that is not installed skips the test, except where CI is set: there it fails it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

# Seconds until a test gives up on a server that takes one at most. Only a hang meets it.
GUARD = 60.0

# Where Debian keeps servers that are not on an ordinary user's PATH.
_PLACES = ("/usr/sbin", "/usr/local/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))


class Server:
    """A server's process and its port, which stays its own while the process comes and goes.

    Attributes:
        url: where clients reach it.
        port: its port on 127.0.0.1.
        ports: further ports by name.
    """

    def __init__(self, command: Sequence[str], ready: str, url: str, ports: Mapping[str, Port], user: str | None = None) -> None:
        self.url = url
        self.port = ports["main"].number
        self.ports = {name: port.number for name, port in ports.items()}
        self.lines: list[str] = []
        self._command = list(command)
        self._ready = ready
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Server {self._command[0]} at {self.url}>"

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, again or for the first time; returns once it says that it is ready."""
        assert self._process is None
        identity = {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []} if self._user else {}
        process: subprocess.Popen[str] = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            **identity,  # type: ignore[call-overload]
        )
        arrivals: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    arrivals.put(line.rstrip("\n"))
            arrivals.put(None)

        self._process = process
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        deadline = time.monotonic() + GUARD
        while (line := arrivals.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
            if self._ready in line:
                return
        self.kill()
        pytest.fail(f"{self._command[0]} did not become ready:\n" + "\n".join(self.lines[-30:]))

    def kill(self) -> None:
        """SIGKILL for the process and its children, as a crash would end them. Nothing happens when it is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an administrator would stop it. Nothing happens when it is not running."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing, until `resume` or `kill`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, signal_number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # PostgreSQL's children are in sessions of their own and outlive their parent for a moment, in which no other can start.
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal_number)
        try:
            process.wait(GUARD)
        finally:
            process.kill()
            process.wait(GUARD)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            for child in children:
                _wait_dead(child)
            assert self._reader is not None
            self._reader.join(GUARD)


class Port:
    """A free port of 127.0.0.1, bound and not listened on: with SO_REUSEADDR on both sides (Linux) a server can bind it as well."""

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.number = int(self._held.getsockname()[1])

    def __str__(self) -> str:
        return str(self.number)

    def close(self) -> None:
        self._held.close()


@contextlib.contextmanager
def redis_server(*, persistent: bool = False) -> Iterator[Server]:
    """A Redis server.

    Args:
        persistent: whether its data outlives a kill, by its append-only file; by default it comes back empty.
    """
    with _place() as directory, _ports() as port:
        command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        command += ["--appendonly", "yes" if persistent else "no"]
        with _running(Server(command, "Ready to accept connections", f"redis://127.0.0.1:{port}/0", {"main": port})) as server:
            yield server


@contextlib.contextmanager
def nats_server() -> Iterator[Server]:
    """A NATS server with JetStream on disk. Its monitoring address has port `ports["monitoring"]`."""
    with _place() as directory, _ports() as port, _ports() as monitoring:
        command = [program("nats-server"), "-a", "127.0.0.1", "-p", str(port), "-m", str(monitoring), "-js", "-sd", str(directory)]
        ports = {"main": port, "monitoring": monitoring}
        with _running(Server(command, "Server is ready", f"nats://127.0.0.1:{port}", ports)) as server:
            yield server


@contextlib.contextmanager
def prometheus_server(config: str) -> Iterator[Server]:
    """A Prometheus server.

    Args:
        config: the text of its configuration file.
    """
    with _place() as directory, _ports() as port:
        file = directory / "prometheus.yml"
        file.write_text(config, encoding="utf-8")
        command = [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        ready = "Server is ready to receive web requests"
        with _running(Server(command, ready, f"http://127.0.0.1:{port}", {"main": port})) as server:
            yield server


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server with one database, `test`. `url` has the form of a DATABASE_URL: `postgresql://…`.

    It refuses to run as root, so that it then runs as `postgres`, or `nobody` where that account is missing.
    """
    user = _other_user() if os.getuid() == 0 else None
    with _place() as directory, _ports() as port:
        data = directory / "data"
        data.mkdir(mode=0o700)
        if user:
            entry = pwd.getpwnam(user)
            os.chmod(directory, 0o711)
            os.chown(data, entry.pw_uid, entry.pw_gid)
        account = user or pwd.getpwuid(os.getuid()).pw_name
        # Synchronising with the disk protects from a crash of the machine, not of the server, and is most of the time it takes.
        initdb = [program("initdb"), "-D", str(data), "-U", account, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        subprocess.run(initdb, check=True, cwd="/", timeout=GUARD, stdout=subprocess.DEVNULL, **identity)  # type: ignore[call-overload]
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "logging_collector=off"]
        command = [program("postgres"), "-D", str(data), *(word for setting in settings for word in ("-c", setting))]
        url = f"postgresql://{account}@127.0.0.1:{port}/test"
        ready = "database system is ready to accept connections"
        with _running(Server(command, ready, url, {"main": port}, user)) as server:
            create = [program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", account, "test"]
            subprocess.run(create, check=True, timeout=GUARD)
            yield server


def program(name: str) -> str:
    """The path of an installed program. Without it the test is skipped, or fails where CI is set."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_PLACES))
    found = shutil.which(name, path=path)
    if found is None:
        reason = f"{name} is not installed; `make system-packages` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _wait_dead(process: psutil.Process) -> None:
    """Until it is dead: a zombie is, whenever init gets to it. A process that is no child of ours can only be asked."""
    deadline = time.monotonic() + GUARD
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.005)


def _other_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def _ports() -> Iterator[Port]:
    port = Port()
    try:
        yield port
    finally:
        port.close()


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    """A directory for a server's data. Not pytest's: those are closed to the other users that a server may run as."""
    with tempfile.TemporaryDirectory(prefix="stack-server-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)

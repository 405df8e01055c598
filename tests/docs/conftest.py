"""What the pages take for granted: a provider, free ports, an environment of one's own."""

import asyncio
import shutil
import site
import socket
import sys
import tempfile
import threading
import venv
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.demo.upstream import DemoSettings, serve
from tests.support.pages import environment_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def demo_port():
    """Return the port of a demo upstream."""
    found: list[int] = []
    is_up, is_over = threading.Event(), threading.Event()

    async def run():
        async with serve(DemoSettings()) as port:
            found.append(port)
            is_up.set()
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert is_up.wait(10)
    yield found[0]
    is_over.set()
    thread.join()


@pytest.fixture
def ports():
    """Return three free ports: Envoy's, its admin's, the host's admin's."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def folder():
    """Return an empty folder whose path is short enough for a Unix socket in it."""
    with tempfile.TemporaryDirectory(prefix="dragoman-docs-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Return an environment that sees this one's packages, and where pip needs no network."""
    home = tmp_path_factory.mktemp("reader") / "venv"
    venv.create(home, symlinks=True)
    binaries = home / "bin"
    [site_packages] = (home / "lib").glob("python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (site_packages / "outer.pth").write_text("\n".join(lines))
    offline = "--no-index --no-deps --no-build-isolation --disable-pip-version-check"
    _script(
        binaries / "pip",
        f'verb=$1; shift; exec {sys.executable} -m pip --python {binaries}/python "$verb" '
        f'--quiet {offline} "$@"',
    )
    _script(
        binaries / "dragoman",
        f"exec {binaries}/python -c 'from pipeline.cli.main import run; run()' \"$@\"",
    )
    _script(binaries / "envoy", f'exec {Path(sys.executable).with_name("envoy")} "$@"')
    return environment_of(binaries)


@pytest.fixture
def default_config(ports, environment):
    """Return an environment that puts the embedded default on free ports."""
    listen, envoy_admin, admin = (f"127.0.0.1:{port}" for port in ports)
    addresses = {
        "DRAGOMAN_LISTEN": listen,
        "DRAGOMAN_ENVOY_ADMIN": envoy_admin,
        "DRAGOMAN_ADMIN": admin,
    }
    keyless = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "")
    return {**environment, **keyless, **addresses}


@pytest.fixture
def curl():
    """Skip where there is no curl."""
    if shutil.which("curl") is None:
        pytest.skip("the pages use curl")


def _script(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)

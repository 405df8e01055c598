"""Other gateways, installed for the comparison alone, each into a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LITELLM_VERSION = "1.106.2"
PORTKEY_VERSION = "1.15.2"
_FOLDER = Path("build/peers")


def install_litellm() -> Path:
    """Install LiteLLM's proxy unless it is there, and return its command."""
    folder = _FOLDER / f"litellm-{LITELLM_VERSION}"
    command, done = folder / "bin" / "litellm", folder / "done"
    if not done.exists():
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        python = str(folder / "bin" / "python")
        wanted = f"litellm[proxy]=={LITELLM_VERSION}"
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wanted])
        done.touch()
    return command.absolute()


def install_portkey() -> Path:
    """Install Portkey's gateway unless it is there, and return its server's script."""
    folder = _FOLDER / f"portkey-{PORTKEY_VERSION}"
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = f"@portkey-ai/gateway@{PORTKEY_VERSION}"
        _run(
            [
                "npm",
                "install",
                "--no-fund",
                "--no-audit",
                "--ignore-scripts",
                "--prefix",
                str(folder),
                wanted,
            ]
        )
        done.touch()
    return (folder / "node_modules/@portkey-ai/gateway/build/start-server.js").absolute()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)

"""Documentation pages as scripts: files to write, commands to run, and the output to expect.

A fenced block with a `title` is a file. A `console` block has commands after `$ ` and under each
the output that people see. An expected line may have `…` for any text; a line that is `…` stands
for any lines, and so does everything after the last expected line. `[N]` is the exit status.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"\[(\d+)\]")
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title or an empty string, its text."""

    language: str
    title: str
    text: str


@dataclass
class Command:
    """A command, the lines that its output must have in this order, and its exit status."""

    line: str
    expected: list[str] = field(default_factory=list)
    status: int = 0


def blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def commands(block: Block) -> list[Command]:
    """Return the commands of a `console` block."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ ")))
        elif status := _STATUS.fullmatch(line):
            found[-1].status = int(status[1])
        elif line.strip() != "…":
            found[-1].expected.append(line)
    return found


def missing(expected: list[str], output: str) -> str | None:
    """Return the first expected line that the output does not have after the one before it."""
    lines: Iterator[str] = iter(output.splitlines())
    for wanted in expected:
        pattern = ".*".join(re.escape(part) for part in wanted.rstrip().split("…"))
        if not any(re.fullmatch(pattern, line.rstrip()) for line in lines):
            return wanted
    return None


class Reader:
    """Does what a page says, in order, in a folder.

    Args:
        folder: where to begin.
        environment: of the commands.
        substitutions: what to replace in files and commands: ports, above all.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], substitutions: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._substitutions = substitutions
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def follow(self, page: Path) -> int:
        """Do everything on a page and return how many commands that were."""
        count = 0
        for block in blocks(page):
            if block.language == "console":
                for command in commands(block):
                    self.run(command)
                    count += 1
            elif block.title:
                (self._folder / block.title).write_text(self._own(block.text), encoding="utf-8")
        return count

    def run(self, command: Command) -> None:
        """Run a command and check what it prints; `dragoman run` goes on in the background."""
        line, expected = self._own(command.line), [self._own(one) for one in command.expected]
        if line.startswith("cd "):
            self._folder /= line.removeprefix("cd ")
        elif line.startswith("dragoman run"):
            self.stop()
            self._serve(line, expected)
        else:
            done = subprocess.run(
                line,
                shell=True,
                cwd=self._folder,
                env=dict(self._environment),
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
            output = done.stdout + done.stderr
            assert done.returncode == command.status, f"$ {line}\n{output}"
            assert missing(expected, output) is None, (
                f"$ {line}\n{output}\nlacks: {missing(expected, output)}"
            )

    def stop(self) -> None:
        """Stop what runs in the background, as Ctrl-C does."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(_PATIENCE_S)
            if server.stdout is not None:
                server.stdout.close()

    def _serve(self, line: str, expected: list[str]) -> None:
        self._server = server = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"],
            cwd=self._folder,
            env=dict(self._environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed: list[str] = []
        is_shown = threading.Event()

        def read() -> None:
            assert server.stdout is not None
            for row in server.stdout:
                printed.append(row)
                if missing(expected, "".join(printed)) is None:
                    is_shown.set()
            is_shown.set()

        threading.Thread(target=read, daemon=True).start()
        assert is_shown.wait(_PATIENCE_S), "".join(printed)
        assert missing(expected, "".join(printed)) is None, f"$ {line}\n{''.join(printed)}"

    def _own(self, text: str) -> str:
        for old, new in self._substitutions.items():
            text = text.replace(old, new)
        return text


def environment_of(bin_folder: Path, **more: str) -> dict[str, str]:
    """Return an environment whose commands are those of a folder, wide enough for every table."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    path = f"{bin_folder}{os.pathsep}{inherited['PATH']}"
    return {**inherited, "PATH": path, "COLUMNS": "160", "NO_COLOR": "1", **more}

"""The command itself: version, help, sub-commands of plugins, the start-up self-check."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import pipeline
from pipeline.cli.selfcheck import foreign, installed_in

SCRIPT = Path(sys.executable).with_name("dragoman")


def test_version_names_the_version(dragoman):
    assert dragoman("version").stdout == f"dragoman {pipeline.__version__}\n"
    assert json.loads(dragoman("version", "--json").stdout)["dragoman"] == pipeline.__version__


def test_version_loads_no_config_machinery_and_no_plugin():
    code = (
        "import sys; sys.argv = ['dragoman', 'version']\n"
        "from pipeline.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        "slow = {'pipeline.config.schema', 'yaml', 'pluggy', 'plugins', 'rich.console'}\n"
        "slow &= set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_installed_command_runs_and_a_problem_exits_with_1(folder):
    ok = subprocess.run([SCRIPT, "check"], capture_output=True, text=True, check=False)
    bad = subprocess.run(
        [SCRIPT, "check", "--config", "gone.yaml"], capture_output=True, text=True, check=False
    )

    assert (ok.returncode, ok.stderr) == (0, "")
    assert bad.returncode == 1
    assert "Traceback" not in bad.stdout + bad.stderr


def test_a_foreign_package_of_our_name_is_refused_with_its_place(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "__init__.py").write_text("")
    result = subprocess.run(
        [SCRIPT, "version"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )

    assert result.returncode == 1
    assert result.stderr.startswith(f"plugins: is imported from {tmp_path}/plugins/__init__.py")


def test_our_own_packages_are_found_at_home():
    home = installed_in(distribution("dragoman"))

    assert foreign("pipeline", home) == foreign("plugins", home) == []
    assert len(foreign("json", home)) == 1


def test_an_unknown_command_exits_with_2(dragoman):
    assert "No such command 'shout'" in dragoman("shout", exit_code=2).stderr


def test_a_plugin_of_the_config_brings_its_own_sub_command(dragoman):
    assert dragoman("loud", "say", "hey").stdout == "HEY\n"
    assert "Say things loudly." in dragoman("--help").output


def test_help_is_given_whatever_the_config_holds(dragoman, folder):
    (folder / "dragoman.yaml").write_text("nonsense: [")

    assert "explain" in dragoman("--help").output
    assert "not valid YAML" in dragoman("loud", "say", "hey", exit_code=1).stderr


def test_a_sub_command_that_is_taken_is_a_problem_at_its_instance(dragoman, folder):
    code = (folder / "local" / "loud.py").read_text().replace('"loud", app', '"check", app')
    (folder / "local" / "loud.py").write_text(code)
    result = dragoman("loud", exit_code=1)

    assert "dragoman.yaml:5: plugins.loud: there is already a command 'check'" in result.stderr


def test_a_plugin_that_cannot_register_its_commands_does_not_stand_in_the_way_of_help(
    dragoman, folder
):
    code = (folder / "local" / "loud.py").read_text()
    broken = code.replace("app = typer.Typer", "raise KeyError; app = typer.Typer")
    (folder / "local" / "loud.py").write_text(broken)

    assert "explain" in dragoman("--help").output
    assert "plugins.loud: register_commands failed" in dragoman("loud", exit_code=1).stderr


def test_a_built_in_command_never_loads_the_config_for_its_name(dragoman, folder):
    (folder / "dragoman.yaml").write_text("nonsense: [")

    assert dragoman("version").exit_code == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_errors_that_are_no_config_error_are_reported_alike(as_json, capsys):
    import typer

    from pipeline.cli.output import reported
    from pipeline.errors import DragomanError

    with pytest.raises(typer.Exit) as stop, reported(as_json=as_json):
        raise DragomanError("Envoy did not start")

    out = capsys.readouterr()
    assert stop.value.exit_code == 1
    assert "Envoy did not start" in (out.out if as_json else out.err)

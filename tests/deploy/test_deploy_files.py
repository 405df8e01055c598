"""What stands under deploy/ fits the program: configs compile, Envoy accepts, nobody is root."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from pipeline.cli.options import compiled
from pipeline.doctor.case import Case
from pipeline.doctor.dump import read_dump
from pipeline.doctor.expected import expect
from pipeline.doctor.rules import examine
from pipeline.envoy.bootstrap import bootstrap, snippet
from pipeline.envoy.process import validate
from pipeline.host.lint import lint

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONFIGS = sorted(DEPLOY.rglob("dragoman.yaml"))
# A duration of the Gateway API.
DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}\Z")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    monkeypatch.delenv("DRAGOMAN_ADDRESS", raising=False)


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def part_of(name):
    with compiled(DEPLOY / name) as runtime:
        return snippet(runtime.config, runtime.plans)


def expected_of(name):
    with compiled(DEPLOY / name) as runtime:
        return expect(runtime.config, runtime.plans)


@pytest.mark.parametrize(
    "file", sorted(DEPLOY.rglob("*.yaml")), ids=lambda file: str(file.relative_to(DEPLOY))
)
def test_every_file_parses(file):
    assert all(isinstance(one, dict) for one in yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.parent.name)
def test_every_config_compiles_and_has_no_lint(file):
    with compiled(file) as runtime:
        assert [one for one in lint(runtime) if one.severity == "warning"] == []


def test_a_pod_listens_where_its_environment_says(monkeypatch):
    monkeypatch.setenv("DRAGOMAN_ADDRESS", "0.0.0.0:9903")

    assert expected_of("kubernetes/dragoman.yaml").addresses == ("0.0.0.0:9903",)


# --- plain Envoy


def test_the_parts_of_envoys_file_are_todays_snippet():
    [own] = documents("envoy/envoy.yaml")
    part = part_of("envoy/dragoman.yaml")
    manager = own["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]

    assert manager["typed_config"]["http_filters"][0] == part["http_filters"][0]
    assert own["static_resources"]["clusters"][0] == part["clusters"][0]
    assert own["layered_runtime"] == part["layered_runtime"]


def test_the_doctor_finds_nothing_in_envoys_file():
    dump = read_dump(documents("envoy/envoy.yaml")[0])

    assert examine(Case(dump, expected_of("envoy/dragoman.yaml"))) == []


@pytest.mark.e2e
def test_envoy_accepts_its_file():
    assert validate(documents("envoy/envoy.yaml")[0]) is None


# --- Istio and Envoy Gateway


def istio():
    [document] = documents("istio/envoy-filter.yaml")
    patches = {one["applyTo"]: one["patch"] for one in document["spec"]["configPatches"]}
    return (
        patches["HTTP_FILTER"]["value"],
        patches["CLUSTER"]["value"],
        patches["LISTENER"]["value"],
    )


def envoy_gateway():
    [document] = documents("envoy-gateway/patch-policy.yaml")
    made = [one["operation"] for one in document["spec"]["jsonPatches"]]
    cluster, http_filter, limit = (one["value"] for one in made)
    assert made[2]["path"] == "/per_connection_buffer_limit_bytes"
    return http_filter, cluster, {"per_connection_buffer_limit_bytes": limit}


@pytest.mark.parametrize("patches", [istio, envoy_gateway])
def test_what_is_patched_in_is_todays_snippet(patches):
    http_filter, cluster, _ = patches()

    part = part_of("kubernetes/dragoman.yaml")
    assert http_filter == part["http_filters"][0]
    assert cluster == part["clusters"][0]


def patched(patches, flag):
    """Return what such a patch makes of an Envoy with routes of its own."""
    http_filter, cluster, listener = patches()
    with compiled(DEPLOY / "kubernetes/dragoman.yaml") as runtime:
        whole = bootstrap(runtime.config, runtime.plans)
    resources = whole["static_resources"]
    resources["listeners"][0].update(listener)
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0] = http_filter
    manager["route_config"]["virtual_hosts"][0]["routes"] = [
        {"name": "theirs", "match": {"prefix": "/"}, "route": {"cluster": "route_chat"}}
    ]
    resources["clusters"][0] = cluster
    whole["layered_runtime"] = {"layers": [{"name": "theirs", "static_layer": flag}]}
    return whole


def flag_of_istio():
    [values] = documents("istio/mesh-values.yaml")
    return values["meshConfig"]["defaultConfig"]["runtimeValues"]


def flag_of_envoy_gateway():
    [proxy] = documents("envoy-gateway/envoy-proxy.yaml")
    [patch] = proxy["spec"]["bootstrap"]["jsonPatches"]
    prefix = "/layered_runtime/layers/0/static_layer/"
    assert patch["path"].startswith(prefix)
    return {patch["path"].removeprefix(prefix): patch["value"]}


PATCHED = [(istio, flag_of_istio), (envoy_gateway, flag_of_envoy_gateway)]


@pytest.mark.parametrize(("patches", "flag"), PATCHED)
def test_the_doctor_finds_nothing_in_what_is_patched(patches, flag):
    dump = read_dump(patched(patches, flag()))

    assert examine(Case(dump, expected_of("kubernetes/dragoman.yaml"))) == []


@pytest.mark.e2e
@pytest.mark.parametrize(("patches", "flag"), PATCHED)
def test_envoy_accepts_what_is_patched(patches, flag):
    assert validate(patched(patches, flag())) is None


def test_the_extension_policy_waits_for_the_chain_and_fails_as_it_must():
    [policy] = documents("envoy-gateway/extension-policy.yaml")
    [one] = policy["spec"]["extProc"]
    plan = expected_of("kubernetes/dragoman.yaml").plans["chat"]

    assert DURATION.match(one["messageTimeout"])
    assert float(one["messageTimeout"].removesuffix("ms")) / 1000 >= plan.budget_s
    assert one["failOpen"] is plan.fails_open
    assert one["processingMode"]["request"]["body"] == "Buffered"
    assert ("response" in one["processingMode"]) is plan.response_headers
    assert one["metadata"]["writableNamespaces"] == ["dragoman"]


# --- Kubernetes


def deployment():
    [document] = documents("kubernetes/deployment.yaml")
    return document["spec"]


def test_a_pod_is_nobody_and_writes_nowhere():
    pod = deployment()["template"]["spec"]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_probes_ask_what_the_host_answers_at_the_port_of_its_config():
    [container] = deployment()["template"]["spec"]["containers"]
    with compiled(DEPLOY / "kubernetes/dragoman.yaml") as runtime:
        admin = runtime.config.server.admin
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}

    assert f"0.0.0.0:{ports['admin']}" == admin
    for probe, path in (
        ("startupProbe", "/health/ready"),
        ("readinessProbe", "/health/ready"),
        ("livenessProbe", "/health/live"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}


def test_a_pod_has_the_time_to_drain():
    with compiled(DEPLOY / "kubernetes/dragoman.yaml") as runtime:
        drain_s = runtime.config.server.drain

    assert deployment()["template"]["spec"]["terminationGracePeriodSeconds"] > drain_s + 2


def test_the_service_leads_to_the_port_that_envoy_is_told():
    [service] = documents("kubernetes/service.yaml")
    [container] = deployment()["template"]["spec"]["containers"]
    [port] = service["spec"]["ports"]
    [address] = expected_of("kubernetes/dragoman.yaml").addresses

    assert address == f"dragoman.dragoman.svc.cluster.local:{port['port']}"
    assert service["spec"]["clusterIP"] == "None"
    assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_makes_one_whole_of_it():
    done = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    made = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    labels = {"app.kubernetes.io/name": "dragoman"}

    assert set(made) == {
        "Namespace", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget",
    }  # fmt: skip
    assert made["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert made["Service"]["spec"]["selector"] == labels
    volumes = made["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {
        "name": "config",
        "configMap": {"name": made["ConfigMap"]["metadata"]["name"]},
    } in volumes


# --- the image


def instructions():
    text = re.sub(r"\\\n", " ", (DEPLOY / "docker/Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines()]
    return [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]


def test_the_image_is_made_in_two_stages_of_one_pinned_python():
    bases = [words.split()[0] for name, words in instructions() if name == "FROM"]
    [default] = [words for name, words in instructions() if name == "ARG"]

    assert bases == ["python:${PYTHON}"] * 2
    assert re.fullmatch(r"PYTHON=3\.1[1-3]-slim-[a-z]+", default)


def test_the_image_runs_as_nobody_and_without_a_shell():
    found = dict(instructions())

    assert found["USER"] == "65532:65532"
    assert found["ENTRYPOINT"] == '["dragoman"]'
    assert found["CMD"].startswith('["serve"')
    assert found["HEALTHCHECK"]
    assert not any(name == "ADD" for name, _ in instructions())


def test_the_image_installs_the_versions_that_were_checked():
    [install] = [words for _, words in instructions() if "pip install" in words]

    assert "--only-binary :all:" in install
    assert any(
        name == "ENV" and "PIP_CONSTRAINT=/src/constraints.txt" in w for name, w in instructions()
    )


def test_what_the_image_copies_is_there_and_reaches_the_builder():
    ignored = (DEPLOY / "docker/Dockerfile.dockerignore").read_text().splitlines()
    admitted = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        source
        for name, words in instructions()
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    ]

    assert "pipeline" in copied
    assert [one for one in copied if not (ROOT / one).exists()] == []
    assert [one for one in copied if not any(fnmatch(one, line) for line in admitted)] == []


# --- systemd


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    unit = (DEPLOY / "systemd/dragoman.service").read_text()
    unit = unit.replace("/opt/dragoman/bin/dragoman", sys.executable)
    (tmp_path / "dragoman.service").write_text(unit)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "dragoman.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "dragoman.service" not in done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_hardened():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30",
         str(DEPLOY / "systemd/dragoman.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-300:]

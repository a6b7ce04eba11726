"""The manifest is a RayJob that KubeRay takes, the script runs as Slurm runs it, and both call the command as it is."""

import copy
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from skyweave.cli.main import build_parser
from skyweave.inference.archive.journal import ListPart

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "deploy" / "slurm" / "archive.sh"
SCHEMA = json.loads(Path(__file__).with_name("rayjob_schema.json").read_text())


@pytest.fixture
def job() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "kubernetes" / "archive.yaml").read_text())
    return content


def test_the_manifest_follows_the_schema(job: dict[str, Any]) -> None:
    jsonschema.validate(job, SCHEMA)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    wrong = copy.deepcopy(job)
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maximumReplicas"] = 4
    with pytest.raises(jsonschema.ValidationError, match="maximumReplicas"):
        jsonschema.validate(wrong, SCHEMA)


def test_every_pod_sees_the_files(job: dict[str, Any]) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        names = {volume["name"] for volume in pod["volumes"]}
        assert all({mount["name"] for mount in container["volumeMounts"]} == names for container in pod["containers"])
        assert all(container["image"] == "registry.example/skyweave:ray" for container in pod["containers"])


def test_the_manifest_calls_the_command(job: dict[str, Any]) -> None:
    shell, _, script = shlex.split(job["spec"]["entrypoint"])
    command, _, otherwise = script.partition("||")
    args = build_parser(["embed"]).parse_args(shlex.split(command)[1:])
    assert shell == "sh" and (args.ray, args.processes, str(args.into)) == ("auto", 40, "/data/features")
    for code, expected in ((0, 0), (3, 0), (2, 1)):
        assert subprocess.run(["sh", "-c", f"(exit {code}) || {otherwise}"]).returncode == expected


def test_the_script_runs_its_part(tmp_path: Path) -> None:
    program = tmp_path / "skyweave"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$OMP_NUM_THREADS" "$@"\n')
    program.chmod(0o755)
    slurm = {"SLURM_CPUS_PER_TASK": "4", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "40"}
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    arguments = ["scenes.txt", "a folder", "--sensor", "rgb", "--unit", "uint8"]
    output = subprocess.run(
        ["bash", str(SCRIPT), *arguments], env=environment, check=True, capture_output=True, text=True
    )
    threads, *words = output.stdout.splitlines()
    args = build_parser(["embed"]).parse_args(words)
    assert threads == "4" and (args.list, str(args.into), args.sensor) == ("scenes.txt", "a folder", "rgb")
    assert ListPart.parse(args.part) == ListPart(3, 40)
    directives = [line.split()[1] for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]
    assert "--requeue" in directives and "--array=1-40" in directives

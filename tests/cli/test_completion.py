"""A shell completes every command with its options, files and folders."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from skyweave.cli.main import COMMANDS, COMPLETION_SHELLS, main

COMPLETE = """
source {script}
COMP_WORDS=(skyweave {words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_skyweave
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def script_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as leaving:
        main(["--print-completion", shell])
    assert leaving.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", COMPLETION_SHELLS)
def test_every_command_and_option_is_completed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(shell, capsys)
    assert "skyweave" in script
    for word in (*COMMANDS, "preview", "strategy", "resume", "replay"):
        assert word in script, word


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("words", "expected", "unexpected"),
    [
        ("emb", {"embed"}, {"export"}),
        ("embed --over", {"--overlap"}, {"--output"}),
        ("export --format ''", {"onnx", "pt2"}, {"scene.tif"}),
        ("embed sc", {"scene.tif"}, {"embed"}),
        ("shards dataset.yaml --data ''", {"folder"}, {"scene.tif"}),
        ("fleet st", {"status"}, {"up"}),
        ("sensors show my", {"mysensor.yaml"}, {"scene.tif"}),
    ],
)
def test_bash_completes(
    words: str, expected: set[str], unexpected: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(script_of("bash", capsys))
    for name in ("scene.tif", "mysensor.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    code = COMPLETE.format(script=script, words=words)
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"LC_ALL": "C"}
    )
    offered = {line.strip().rstrip("/") for line in done.stdout.splitlines()}
    assert expected <= offered and not unexpected & offered, (done.stdout, done.stderr)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_accepts_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "_skyweave"
    script.write_text(script_of("zsh", capsys))
    subprocess.run(["zsh", "-n", str(script)], check=True)


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "sh"])
    assert "bash" in capsys.readouterr().err

"""The transcripts of docs/command_line.md are what the commands print.

In a ```console block lines that begin with "$ " are commands, and the others their output, where "..." stands for
anything in a line, and a line of it for any lines, or none. Besides `jaxce` there are `cat`, `ls`, `echo $?` and
`python -c`. A block with a title, such as ```toml title="run.toml", is a file. All happens in order, in one folder.
"""

import pathlib
import re
import shlex

import pytest
from typer.testing import CliRunner

from jaxce.cli import app

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "command_line.md"
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Shell:
    """Runs commands in the current folder."""

    exit_code = 0

    def output_of(self, command):
        program, *arguments = shlex.split(command)
        if program == "jaxce":
            outcome = CliRunner(env={"COLUMNS": "100"}).invoke(app, arguments)
            self.exit_code = outcome.exit_code
            return outcome.output
        if program == "cat":
            return pathlib.Path(arguments[0]).read_text(encoding="utf-8")
        if program == "ls":
            names = sorted(path.name for path in pathlib.Path(arguments[0]).iterdir())
            return "\n".join(name for name in names if not name.startswith("."))
        if (program, *arguments) == ("echo", "$?"):
            return str(self.exit_code)
        assert (program, arguments[0]) == ("python", "-c"), f"this shell does not know {command!r}"
        exec(compile(arguments[1], "-c", "exec"), {})
        return ""


def steps_of(block):
    """Commands and the output that is to follow each."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        command = []
        while lines:
            command.append(lines.pop(0))
            if not command[-1].endswith("\\"):
                break
        yield " ".join(line.removesuffix("\\") for line in command), "\n".join(lines)


def matches(expected, output):
    """Spaces count as one: those in rows of tables depend on the numbers in them."""
    squeezed = lambda text: [re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines()]
    in_line = lambda line: ".*?".join(re.escape(part) for part in line.split("...")) + "\n"
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else in_line(line) for line in squeezed(expected))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in squeezed(output)))


@pytest.mark.filterwarnings("default", "ignore::DeprecationWarning")
def test_transcripts_are_what_the_commands_print(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell = Shell()
    for language, title, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if title:
            pathlib.Path(title).write_text(block, encoding="utf-8")
        for command, expected in steps_of(block) if language == "console" else []:
            output = shell.output_of(command)
            assert matches(expected, output), f"$ {command}\nis to print\n{expected}\nbut prints\n{output}"


def test_dots_match_anything_and_nothing_else_does():
    assert matches("a ... b\n...\nc", "a   1 b\nc")
    assert matches("a\n...", "a\nb\n\nc")
    assert not matches("a ...", "a b\nc")
    assert not matches("a (b)", "a b")
    assert not matches("a", "a b")
    assert list(steps_of("$ one\nx\ny\n$ two \\\n  three\n")) == [("one", "x\ny"), ("two    three", "")]

"""Files for pre-commit and GitHub: the hooks by the real pre-commit on a repository of its own, the steps of the workflow in a shell, its SARIF against
the schema, the problem matchers on what `deployc` prints."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import jsonschema

from corpus import DEPLOYC, ROOT, fetched
from vim import BROKEN, reported

PACKAGES = ["pre-commit==4.7.0", "cfgv==3.5.0", "identify==2.6.20", "PyYAML==6.0.4"]
GITHUB = ROOT / "editors/github"
SOUND = (ROOT / "samples/quickstart.deploy").read_text()
SCHEMA = ROOT / "tests/forms/schema/sarif-schema-2.1.0.json"


def repository(folder, files):
    """A git repository with these files in one commit."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "files"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    return folder


def surroundings(folder):
    """An environment with `deployc` on PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    shutil.copy(DEPLOYC, folder / "bin/deployc")
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PRE_COMMIT_HOME": str(folder / "pre-commit"), "HOME": str(folder)}


def hooks(folder, packages):
    """pre-commit over a sound file, a wrong one, and one that is not in canonical form."""
    source = repository(folder / "hooks", {".pre-commit-hooks.yaml": (ROOT / ".pre-commit-hooks.yaml").read_text()})
    user = repository(folder / "user", {"sound.deploy": SOUND, "broken.deploy": BROKEN, "loose.deploy": SOUND.replace("deploy Chat {", "deploy   Chat {"), "deploy.txt": "text"})
    environment = {**surroundings(folder), "PYTHONPATH": str(packages)}

    def ran(hook, *files):
        words = [sys.executable, "-m", "pre_commit", "try-repo", source, hook, "--color=never", "--files", *files]
        done = subprocess.run(words, cwd=user, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    status, out = ran("deployc-check", "sound.deploy", "deploy.txt")
    yield "hook on a sound file", (status, "Passed" in out), (0, True)
    status, out = ran("deployc-check", "sound.deploy", "broken.deploy")
    yield "hook on a wrong file", (status, "E0601" in out), (1, True)
    status, out = ran("deployc-check", "deploy.txt")
    yield "hook on other files", (status, "no files to check" in out), (0, True)
    status, out = ran("deployc-fmt", "sound.deploy", "loose.deploy")
    yield "hook that formats", (status, "files were modified" in out, (user / "loose.deploy").read_text() == SOUND), (1, True, True)
    yield "hook on canonical form", ran("deployc-fmt", "loose.deploy")[0], 0


def workflow(folder, yaml):
    """The steps of the workflow that are commands."""
    steps = {step.get("name"): step for step in yaml.safe_load((GITHUB / "deployc.yml").read_text())["jobs"]["check"]["steps"]}
    user = repository(folder / "checked", {"a/sound.deploy": SOUND, "with space.deploy": BROKEN})

    def shell(name):
        return subprocess.run(["bash", "-eo", "pipefail", "-c", steps[name]["run"]], cwd=user, env=surroundings(folder), capture_output=True, text=True)

    yield "the step that writes SARIF", shell("Write SARIF").returncode, 0
    log = json.loads((user / steps["Upload SARIF"]["with"]["sarif_file"]).read_text())
    jsonschema.Draft4Validator(json.loads(SCHEMA.read_text())).validate(log)
    # GitHub takes the folder of the checkout away from absolute places.
    places = [(r["level"], *uri_and_line(r)) for run in log["runs"] for r in run["results"]]
    wanted = [(kind, (user / file).as_uri(), line) for kind, file, line, _ in reported(user / "with space.deploy") if kind != "note"]
    yield "places in SARIF", places, wanted
    checked = shell("Check")
    yield "the step that checks", checked.returncode != 0, True
    matcher = checked.stdout.splitlines()[0].removeprefix("::add-matcher::.github/")
    yield "its matcher", (GITHUB / matcher).exists(), True
    (user / "with space.deploy").write_text(SOUND)
    yield "the step on sound files", shell("Check").returncode, 0


def uri_and_line(result):
    at = result["locations"][0]["physicalLocation"]
    return at["artifactLocation"]["uri"], at["region"]["startLine"]


def matched(pattern, text):
    """What a problem matcher takes from a text."""
    for line in text.splitlines():
        found = re.match(pattern["regexp"], line)
        if found:
            yield found[pattern["severity"]], pathlib.Path(found[pattern["file"]]).name, int(found[pattern["line"]]), int(found[pattern["column"]])


def matchers(folder):
    broken = folder / "with space.deploy"
    broken.write_text(BROKEN)
    out = subprocess.run([DEPLOYC, "check", "-q", "--error-format=gcc", broken], capture_output=True, text=True).stderr
    wanted = [place for place in reported(broken) if place[0] != "note"]
    github = json.loads((GITHUB / "problem-matcher.json").read_text())["problemMatcher"][0]["pattern"][0]
    yield "problem matcher for GitHub", list(matched(github, out)), wanted
    yield "codes", [re.match(github["regexp"], line)[github["code"]] for line in out.splitlines() if ": error: " in line], ["E0601", "E0005"]
    vscode = json.loads((ROOT / "editors/vscode/package.json").read_text())["contributes"]["problemPatterns"][0]
    yield "problem matcher for VS Code", list(matched(vscode, out)), wanted


def tests():
    packages = fetched("pre-commit", *PACKAGES)
    sys.path.append(str(packages))
    import yaml
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        yield from matchers(folder)
        yield from hooks(folder, packages)
        yield from workflow(folder, yaml)
    # Configuration of editors that are not driven: that it can be read at all.
    helix = tomllib.loads((ROOT / "editors/helix/languages.toml").read_text())
    yield "Helix", helix["language"][0]["language-servers"], list(helix["language-server"])
    yaml.safe_load((ROOT / "editors/sublime/Deploy.sublime-syntax").read_text().replace("%YAML 1.2\n", ""))
    for file in ("sublime/LSP.sublime-settings", "zed/tasks.json"):
        json.loads((ROOT / "editors" / file).read_text())

"""Writes xpk.json: what the commands of an xpk take, as its own parser says.

  make xpk && .venv-xpk/bin/python tests/launch/record_xpk.py

Also every type of TPU slice it knows, and the shell script its containers run. Nothing
is sent to Google Cloud.
"""

import argparse
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile

from xpk.core import system_characteristics
from xpk.parser.core import set_parser

USED = ("cluster create", "cluster delete", "workload create", "workload list")
USED += ("workload delete", "inspector")
MARK = "TRAINING_COMMAND"


def subparser(parser, name: str):
  for action in parser._actions:
    if isinstance(action, argparse._SubParsersAction) and name in action.choices:
      return action.choices[name]
  raise KeyError(name)


def options(parser) -> dict:
  """By flag: whether it takes a value, whether it is needed, what it may be."""
  return {
    flag: {
      "value": action.nargs != 0,
      "required": action.required,
      "choices": list(action.choices) if action.choices else None,
      "exclusive": [
        number
        for number, group in enumerate(parser._mutually_exclusive_groups)
        if action in group._group_actions
      ],
    }
    for action in parser._actions
    for flag in action.option_strings
    if flag.startswith("--")
  }


def container_script() -> str:
  """What a container's bash is given to run."""
  with tempfile.TemporaryDirectory() as folder:
    manifest = pathlib.Path(folder) / "manifest.yaml"
    words = ["--cluster=c", "--workload=w", "--docker-image=i", "--project=p"]
    words += ["--zone=us-west4-a", "--tpu-type=v5litepod-16", f"--command={MARK}"]
    words += ["--dry-run", "--skip-validation", f"--output-manifest-file={manifest}"]
    xpk = pathlib.Path(sys.executable).with_name("xpk")
    subprocess.run([xpk, "workload", "create", *words], check=True, capture_output=True)
    lines = manifest.read_text().splitlines()
  start = next(i for i, line in enumerate(lines) if line.strip() == "- |") + 1
  end = next(i for i in range(start, len(lines)) if lines[i].strip() == "resources:")
  return "\n".join(line.strip() for line in lines[start:end] if line.strip()) + "\n"


def main() -> None:
  root = argparse.ArgumentParser(prog="xpk")
  set_parser(root)
  commands = {}
  for command in USED:
    parser = root
    for word in command.split():
      parser = subparser(parser, word)
    commands[command] = options(parser)
  known = system_characteristics.UserFacingNameToSystemCharacteristics
  tpu = system_characteristics.AcceleratorType.TPU
  content = {
    "version": importlib.metadata.version("xpk"),
    "commands": commands,
    "tpu_types": sorted(n for n, s in known.items() if s.accelerator_type == tpu),
    "container_script": container_script(),
  }
  path = pathlib.Path(__file__).with_name("xpk.json")
  path.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
  main()

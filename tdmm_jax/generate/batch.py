"""Thousands of prompts to files; an interrupted job continues where it stopped.

`generated.jsonl`, beside the motions, has one line for each finished motion with
everything it was made from. A request whose line and file exist is not made again,
unless its prompt, settings or run have changed.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

from tdmm_jax.decoding import sample
from tdmm_jax.face import motion as motion_lib

LOG_FILE = "generated.jsonl"


def run(
  face,
  requests: Sequence[tuple[str, str, float]],
  folder: pathlib.Path,
  seed: int,
  sampling: sample.Sampling,
  say: Callable[[int], None] = lambda count: None,
) -> list[pathlib.Path]:
  """Makes `folder`/NAME.npz of each (name, prompt, seconds).

  The files are the same however often the job was interrupted.

  Args:
    face: generate.face.Face.
    say: called with the number of newly finished files.

  Returns:
    the files, in the order of the requests.
  """
  folder = pathlib.Path(folder)
  names, prompts, seconds = zip(*requests)
  frames = [face.check_request(p, s) for p, s in zip(prompts, seconds, strict=True)]
  lines = [
    {
      "clip_id": name,
      "prompt": prompt,
      "seconds": length,
      "seed": seed,
      "number": number,  # a request's randomness comes from seed and number
      "sampling": dataclasses.asdict(sampling),
      "run": face.version,
    }
    for number, (name, prompt, length) in enumerate(requests)
  ]
  files = [folder / f"{name}.npz" for name in names]
  logged = _read_log(folder / LOG_FILE)
  finished = {
    i
    for i, line in enumerate(lines)
    if logged.get(line["clip_id"]) == line and files[i].exists()
  }
  say(len(finished))
  for batch in face.generate_batches(prompts, frames, seed, sampling, finished):
    missing = [i for i in batch if i not in finished]
    # All of the batch, for a batch of another size may round otherwise.
    motions = dict(zip(batch, face.motions_of(batch, prompts, seed), strict=True))
    for i in missing:
      motion_lib.save_motion(files[i], motions[i])
    with (folder / LOG_FILE).open("a+b") as log:
      if log.seek(0, 2) and not _ends_a_line(log):
        log.write(b"\n")
      log.writelines((json.dumps(lines[i]) + "\n").encode() for i in missing)
    say(len(missing))
  return files


def _ends_a_line(log) -> bool:
  log.seek(-1, 2)
  return log.read(1) == b"\n"


def _read_log(path: pathlib.Path) -> dict[str, dict]:
  """The last line of each clip_id; a line cut short by a crash is ignored."""
  logged = {}
  if path.exists():
    for line in path.read_text(errors="replace").splitlines():
      try:
        row = json.loads(line)
        logged[row["clip_id"]] = row
      except (ValueError, KeyError, TypeError):
        continue
  return logged

"""Many prompts at once, to codes or to files.

A job of files that was interrupted continues where it stopped: `generated.jsonl`,
beside the motions, has one line for each finished motion with everything it was made
from. A request whose line and file exist is not made again, unless its prompt, settings
or run have changed.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Collection, Iterator, Sequence

import jax
import numpy as np

from tdmm_jax.decoding import sample
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import inputs, windows

LOG_FILE = "generated.jsonl"


def draw(
  face,
  prompts: Sequence[str],
  frames: Sequence[int],
  seed: int,
  sampling: sample.Sampling,
  skip: Collection[int] = (),
  fixed: Sequence[np.ndarray] | None = None,
) -> Iterator[dict[int, np.ndarray]]:
  """Codes int32[T] by request number, a batch at a time.

  Requests of similar lengths share a batch, whose content does not depend on `skip`,
  and a request's randomness depends on its number alone, so a resumed job makes the
  same motions.

  Args:
    face: generate.face.Face.
    frames: of each request, as `Face.check_request` gives them.
    skip: request numbers that are not needed; a batch of only these is not made.
    fixed: codes int[T] of each request, constraints.FREE where one is to be drawn; by
      default all are.
  """
  # As NumPy's numbers, which are taken apart without a program.
  keys = np.asarray(
    jax.random.key_data(sample.row_keys(jax.random.key(seed), len(prompts)))
  )
  order = sorted(range(len(frames)), key=lambda i: frames[i])
  short = [i for i in order if frames[i] <= face.config.max_frames]
  for start in range(0, len(short), inputs.BATCH):
    group = short[start : start + inputs.BATCH]
    if set(group) <= set(skip):
      continue
    filled = group
    if len(short) > 1:
      filled = group + group[-1:] * (inputs.BATCH - len(group))
    lengths = [frames[i] for i in filled]
    keys_B = jax.random.wrap_key_data(keys[np.array(filled)])
    encoder, low, high, told = inputs.of_prompts(
      face,
      [prompts[i] for i in filled],
      lengths,
      sampling,
      keys_B,
      None if fixed is None else [fixed[i] for i in filled],
    )
    tokens = sample.decode(
      face.model,
      face.params,
      *(encoder, low, high),
      keys_B,
      sampling,
      face.shared_params if len(filled) > 1 else None,
      told,
    )
    rows = zip(group, np.asarray(tokens), lengths, strict=False)
    yield {i: face.vocab.ids_to_motion(row[1 : n + 1]) for i, row, n in rows}
  for i in order[len(short) :]:
    if i not in skip:
      spans = [windows.Span(0, frames[i], frames[i], prompts[i])]
      known = windows.free(frames[i]) if fixed is None else fixed[i]
      yield {
        i: windows.fill(face, known, spans, jax.random.wrap_key_data(keys[i]), sampling)
      }


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
  for batch in draw(face, prompts, frames, seed, sampling, finished):
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

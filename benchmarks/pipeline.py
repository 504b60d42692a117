"""How fast the input pipeline of a language model is, and what a resume costs.

  python -m benchmarks.pipeline --config configs/lm_base.py --hosts 1 2 4

The corpus is simulated prompts and captions, with random codes. The first of so many
hosts makes its rows of the config's batches, on one core, until each of its lanes has
drawn and packed one chunk. `tokens_per_s` are the host's own, padding included, to be
compared with what its chips take: 100,000 each, for example. A resume is what a new
start does until its first batch. --one_lane: every host draws every chunk, as batches
below 512 rows do. Prints JSON; processor time, or --clock=wall.
"""

import argparse
import dataclasses
import json
import runpy
import sys
import time

import numpy as np

from data_prep import prompts
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import pipeline, tasks
from tdmm_jax.language import wording

_NUM_CODES, _FPS = 1_024, 25
_SECONDS = (4.0, 6.0)
_SEED = 0


def _clips(count: int, max_frames: int) -> list[dict]:
  """So many clips as the full corpus has them, none longer than that."""
  longest = min(_SECONDS[1], max_frames / _FPS)
  seconds = (min(_SECONDS[0], longest), longest)
  rng = np.random.default_rng(_SEED)
  return [
    dataclasses.asdict(plan)
    | {"codes": rng.integers(0, _NUM_CODES, round(plan.duration_s * _FPS))}
    for plan in prompts.make_suite(count, _SEED, seconds)
  ]


def _packed(config, clips: list[dict], batch_size: int) -> pipeline.PackedTasks:
  """As training reads them, with a vocabulary of this corpus."""
  rates = config.task_rates.to_dict()
  texts = tasks.texts(rates, clips, config.vocab_texts, config.read_acts)
  whole = wording.TIMES if config.read_acts else ()
  sizes = (config.num_pieces, config.num_extra_ids)
  vocab = vocab_lib.train(texts, _NUM_CODES, *sizes, whole)
  vocab = dataclasses.replace(vocab, read_acts=config.read_acts)
  return pipeline.PackedTasks(
    vocab,
    clips,
    config.encoder_length,
    config.decoder_length,
    sys.maxsize,
    _SEED,
    tasks.Mixture(
      rates,
      prompt_dropout=config.prompt_dropout,
      reword=config.reword,
      disturb=config.disturb,
      acts_dropout=config.acts_dropout,
      encoder_length=config.encoder_length,
    ),
    num_cues=config.model.motion_cues,
    batch_size=batch_size,
  )


def _forget(packed: pipeline.PackedTasks) -> None:
  """As a new start finds it."""
  packed._chunks.clear()


def _read(packed, batch_size: int, num_rows: int, batch: int) -> int:
  """Makes the first rows of a batch; how many tokens are written, without padding."""
  rows = [packed[batch * batch_size + row] for row in range(num_rows)]
  return sum(int((row["decoder_segment_ids"] > 0).sum()) for row in rows)


def measure(config, clips: list[dict], hosts, far: int, one_lane: bool, clock) -> dict:
  """See the module's docstring; `clock` gives seconds."""
  size = config.batch_size
  began = clock()
  packed = _packed(config, clips, 1 if one_lane else size)
  found: dict = {
    "batch_size": size,
    "lanes": packed._lanes,
    "rows_per_chunk": packed.rows_per_chunk,
    "start_s": clock() - began,
    "hosts": {},
    "resume_s": {},
  }
  lane_rows = size if one_lane else packed._lane_rows
  # Exactly one chunk a lane; or, of chunks smaller than a batch, about ten.
  steps = packed.rows_per_chunk // lane_rows or 8
  for count in hosts:
    _forget(packed)
    began, filled = clock(), 0
    for batch in range(steps):
      filled += _read(packed, size, size // count, batch)
    spent = (clock() - began) / steps
    tokens = size // count * (config.encoder_length + config.decoder_length)
    found["hosts"][count] = {
      "input_s_a_step": spent,
      "batches_per_s": 1 / spent,
      "tokens_per_s": tokens / spent,
      "decoder_filled": filled / (steps * (size // count) * config.decoder_length),
    }
  for step in (0, far):
    _forget(packed)
    began = clock()
    _read(packed, size, size // max(hosts), step)
    found["resume_s"][step] = clock() - began
  return found


def main(argv=None) -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--config", default="configs/lm_base.py")
  add("--batch_size", type=int, help="instead of the config's")
  add("--clips", type=int, default=57_600, help="of the corpus (default: the full one)")
  add("--hosts", type=int, nargs="+", default=[1, 2, 4])
  add("--far", type=int, default=90_000, help="the step of the second resume")
  add("--one_lane", action="store_true")
  add("--clock", choices=("cpu", "wall"), default="cpu")
  args = parser.parse_args(argv)
  config = runpy.run_path(args.config)["get_config"]()
  config.batch_size = args.batch_size or config.batch_size
  clock = time.process_time if args.clock == "cpu" else time.perf_counter
  clips = _clips(args.clips, config.max_frames)
  found = measure(config, clips, args.hosts, args.far, args.one_lane, clock)
  print(json.dumps(found | {"clock": args.clock, "clips": args.clips}, indent=2))
  return 0


if __name__ == "__main__":
  sys.exit(main())

"""A trained run, ready to use: sentences to motions and motions to sentences.

import tdmm_jax
face = tdmm_jax.load("runs/demo")
motion = face.generate("A woman smiles broadly, then nods twice.", seconds=4)
print(face.describe(motion))
motion.save("smile.npz")
motion.save("smile.mp4")
"""

import pathlib
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np

from tdmm_jax import checkpoints, motion_codec, objectives, runs, train_step
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks
from tdmm_jax.decoding import constraints, sample
from tdmm_jax.errors import UserError
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.models import t5

_BATCH = 16
_ENCODER_MULTIPLE = 32


class Face:
  """Tokenizer and language model of one run directory.

  Attributes:
    name: what it was loaded from.
    codec: the tokenizer, with the face model (`codec.face`).
    config, vocab, model, params: the language model.
  """

  def __init__(self, run_dir):
    run_dir = pathlib.Path(run_dir)
    if not run_dir.is_dir():
      raise UserError(f"{run_dir}: no such run directory; make one with `make demo`")
    self.name = str(run_dir)
    workdir = run_dir / runs.LANGUAGE_MODEL
    if not checkpoints.has_checkpoint(workdir):
      raise UserError(
        f"{run_dir}: no trained language model in {workdir}; run `make demo`, or train "
        "one with `python -m tdmm_jax.train --config configs/lm_demo.py`"
      )
    stored = checkpoints.read_json(workdir / motion_codec.CONFIG_FILE)
    self.config = ml_collections.ConfigDict(stored["config"])
    self.codec = motion_codec.load(run_dir / runs.TOKENIZER)
    if stored["versions"]["tokenizer"] != self.codec.version:
      raise UserError(
        f"{run_dir}: the language model speaks tokenizer version "
        f"{stored['versions']['tokenizer']}, but {run_dir / runs.TOKENIZER} is version "
        f"{self.codec.version}; train the language model again"
      )
    self.vocab = vocab_lib.load(workdir)
    restored = checkpoints.restore_model(workdir)
    self.model, self.params = t5.unscanned(
      objectives.build_t5(self.config, self.vocab),
      train_step.eval_params(restored["params"], restored.get("collections", {})),
    )

  @property
  def max_seconds(self) -> float:
    """The longest motion it makes or reads."""
    return self.config.max_frames / tasks.FPS

  def generate(
    self,
    prompt: str,
    seconds: float = 4.0,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 0.9,
    guidance: float | None = None,
  ) -> FaceMotion:
    """A motion that acts the prompt out, seconds · 25 frames long.

    Args:
      prompt: what the face does.
      seconds: 0.04 to `max_seconds`.
      seed: another seed, another motion; the same seed, the same motion.
      temperature: 0 takes the likeliest token each time.
      top_p: samples among the likeliest tokens that have this probability together.
      guidance: scale of classifier-free guidance: 1 is none, more follows the prompt
        more closely; by default the run's own (`config.guidance`).

    Raises:
      UserError: see `check_request`.
    """
    options = (seed, temperature, top_p, guidance)
    return self.generate_many([prompt], [seconds], *options)[0]

  def describe(self, motion: FaceMotion, question: str | None = None) -> str:
    """A sentence on what the face does, or the answer to a question about it.

    Raises:
      UserError: the motion is of another face model, or longer than `max_seconds`.
    """
    self.check_motion(motion)
    return self.describe_codes(self.codec.encode([motion]), question)[0]

  def encode(self, motion: FaceMotion) -> np.ndarray:
    """The motion's tokens int32[T]: one number in 0 .. codec.num_codes - 1 a frame.

    Raises:
      UserError: the motion is of another face model.
    """
    return self.codec.encode([motion])[0]

  def decode(self, codes: np.ndarray) -> FaceMotion:
    """The motion of tokens int[T]; neutral identity."""
    return self.codec.decode([codes])[0]

  def check_request(self, prompt: str, seconds: float) -> int:
    """Frames of a request.

    Raises:
      UserError: an empty or too long prompt, a duration out of range.
    """
    if not prompt.strip():
      raise UserError('prompt: empty; say what the face does, e.g. "She smiles."')
    pieces = len(self.vocab.encode_text(prompt))
    if pieces > self.config.max_prompt_pieces:
      raise UserError(
        f"prompt: {pieces} text pieces, the limit is {self.config.max_prompt_pieces}; "
        "shorten it"
      )
    frames = round(seconds * tasks.FPS) if np.isfinite(seconds) else -1
    if not 1 <= frames <= self.config.max_frames:
      raise UserError(
        f"--seconds {seconds:g}: out of range; this run makes motions of "
        f"{1 / tasks.FPS:g} to {self.max_seconds:g} s"
      )
    return frames

  def generate_codes(
    self,
    prompts: Sequence[str],
    seconds: Sequence[float],
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 0.9,
    guidance: float | None = None,
  ) -> list[np.ndarray]:
    """Motion codes int32[T] for each prompt; exactly seconds · 25 frames each."""
    guidance = self.config.guidance if guidance is None else guidance
    frames = [self.check_request(p, s) for p, s in zip(prompts, seconds, strict=True)]
    encoders = [
      tasks.l2m_encoder(self.vocab, prompt, n)
      for prompt, n in zip(prompts, frames, strict=True)
    ]
    length = self.config.max_frames + tasks.NUM_MOTION_SPECIALS
    limits = constraints.exact_motion(self.vocab, frames, length, self.codec.num_phases)
    unprompted = [tasks.l2m_encoder(self.vocab, "", n) for n in frames]
    tokens = self._decode(
      encoders, limits, seed, temperature, top_p, unprompted, guidance
    )
    return [
      self.vocab.ids_to_motion(row[1 : n + 1])
      for row, n in zip(tokens, frames, strict=True)
    ]

  def generate_many(
    self, prompts, seconds, seed=0, temperature=1.0, top_p=0.9, guidance=None
  ) -> list[FaceMotion]:
    """FaceMotions of prompts, in batches; see `generate_codes`."""
    return self.codec.decode(
      self.generate_codes(prompts, seconds, seed, temperature, top_p, guidance)
    )

  def check_motion(self, motion: FaceMotion, where: str = "motion") -> None:
    """Raises UserError, which names `where`, unless this run can read the motion."""
    self.codec.check(motion, where)
    if motion.num_frames > self.config.max_frames:
      raise UserError(
        f"{where}: {motion.num_frames / tasks.FPS:g} s long, this run reads up to "
        f"{self.max_seconds:g} s; cut it into pieces"
      )

  def describe_codes(
    self, codes: Sequence[np.ndarray], question: str | None = None
  ) -> list[str]:
    """One sentence for each motion, greedily decoded."""
    encoders = [tasks.m2l_encoder(self.vocab, c, question) for c in codes]
    length = self.config.max_caption_pieces
    limits = constraints.text_only(self.vocab, len(codes), length)
    tokens = self._decode(encoders, limits, seed=0, temperature=0.0, top_p=1.0)
    return [self.vocab.decode_text(row) for row in tokens]

  def _decode(
    self, encoders, limits, seed, temperature, top_p, unprompted=None, guidance=1.0
  ) -> np.ndarray:
    """Pads prompts and batches to few shapes, so that little is compiled."""
    longest = max(len(e) for e in encoders)
    width = -(-longest // _ENCODER_MULTIPLE) * _ENCODER_MULTIPLE
    rng = jax.random.key(seed)
    low, high = limits
    outputs = []
    for start in range(0, len(encoders), _BATCH):
      group = encoders[start : start + _BATCH]
      rows = _BATCH if len(encoders) > 1 else 1
      tokens = _padded(group, rows, width)
      if guidance != 1.0:
        without = _padded(unprompted[start : start + _BATCH], rows, width)
        tokens = np.concatenate([tokens, without])
      fill = [start + min(row, len(group) - 1) for row in range(rows)]
      decoded = sample.decode(
        self.model,
        self.params,
        tokens,
        low[fill],
        high[fill],
        jax.random.fold_in(rng, start),
        temperature=temperature,
        top_p=top_p,
        guidance=guidance,
      )
      outputs.append(np.asarray(decoded)[: len(group)])
    return np.concatenate(outputs)


def _padded(encoders, rows: int, width: int) -> np.ndarray:
  """int32[rows, width], 0 = padding."""
  tokens = np.zeros((rows, width), np.int32)
  for row, encoder in enumerate(encoders):
    tokens[row, : len(encoder)] = encoder
  return tokens

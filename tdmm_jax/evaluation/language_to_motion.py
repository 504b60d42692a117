"""Scores of generated motions, over replications of the sampling.

Shape letters: N clips, R replications, S samples of a prompt, D evaluator space.
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from tdmm_jax.data import packing, tasks
from tdmm_jax.evaluation import motion_sets
from tdmm_jax.generate import face
from tdmm_jax.language import cues, instructions, lexicon, wording
from tdmm_jax.metrics import attributes, distribution, judge, regressions, retrieval
from tdmm_jax.train import losses

# Of multimodality, where there are that many.
_PROMPTS, _SAMPLES, _PAIRS = 100, 30, 10
ENOUGH = 20  # replications of a released table; from here on all samples are drawn
_BATCH = 16  # of teacher-forced rows
_SEEDS = 1_000  # replications of one seed never meet those of the next


class Seen(NamedTuple):
  """What was read from motions, by the run's own captions and by regressions."""

  captions: list[str]
  read: list[dict]


def scores(
  run: face.Face,
  truth: motion_sets.Truth,
  reader,
  seen: Seen,
  replications: int,
  seed: int = 0,
  say: Callable[[str], None] = lambda text: None,
) -> tuple[dict, list[str]]:
  """Means and intervals over replications, each with its own sampling seed.

  Args:
    reader: regressions.AttributeReader.
    seen: in the true motions.

  Returns:
    The scores, with `ceiling` (the true motions' own), `floor` (shuffled), `tokenizer`
    (the true motions through it); and the captions of the first replication's motions.
  """
  rows, captions, embedded = [], [], []
  for r in range(replications):
    if r:
      say(f"Language2Motion: replication {r + 1} of {replications}")
    vectors, codes = generate(run, truth.clips, seed * _SEEDS + r)
    row, made = round_scores(run, truth, reader, vectors, codes, seed * _SEEDS + r)
    rows.append(row)
    captions = captions or made
    if truth.network is not None:
      embedded.append(truth.network.embed_motions(vectors, truth.valid))
  found = motion_sets.averaged(rows)
  found["replications"] = replications
  found["token_accuracy"] = token_accuracy(run, truth.clips)
  found |= _multimodality(run, truth, embedded, seed)
  families = [clip["attributes"]["family"] for clip in truth.clips]
  found["chance"] = 1 / len(set(families))
  found["majority"] = max(collections.Counter(families).values()) / len(families)
  found["num_clips"] = len(families)
  if truth.network is not None:
    found["pool"] = min(retrieval.POOL, len(families))
  own = _seen_scores(
    truth, reader, [lexicon.parse(c) for c in seen.captions], seen.read
  )
  found["classifier_ceiling"] = own["emotion_family_accuracy"]
  found["ceiling"] = truth.own(seed) | own
  found["floor"] = truth.floor(seed) | _shuffled(truth, reader, seen, seed)
  through = run.codec.decode_vectors(run.codec.encode_vectors(truth.vectors))
  found["tokenizer"] = truth.scores(through, seed)
  return found, captions


def generate(run, clips, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """(motion vectors float32[T, P], codes int32[T]) of each clip's prompt."""
  seconds = [len(clip["vectors"]) / tasks.FPS for clip in clips]
  codes = run.generate_codes([clip["prompt"] for clip in clips], seconds, seed)
  return run.codec.decode_vectors(codes), codes


def round_scores(
  run, truth, reader, vectors, codes, seed: int
) -> tuple[dict, list[str]]:
  """One replication's scores, and the run's own captions of its motions."""
  captions = run.describe_codes(codes)
  said = [lexicon.parse(caption) for caption in captions]
  found = truth.scores(vectors, seed) | _seen_scores(
    truth, reader, said, reader.read(vectors)
  )
  return found, captions


def _seen_scores(truth, reader, said: Sequence[dict], read: Sequence[dict]) -> dict:
  """What motions show of their prompts, by captions and by regressions."""
  wanted = [clip["attributes"] for clip in truth.clips]
  families = [a["family"] for a in wanted]
  by_reader = regressions.judged(reader.classes, read, wanted)
  own = attributes.macro_accuracy(
    [s["family"] == f for s, f in zip(said, families, strict=True)], families
  )
  found = {
    "emotion_family_accuracy": by_reader["emotion_family_accuracy"],
    "loop_consistency": own,
    **judge.means(judge.judge_all(wanted, said)),
  }
  for name in (
    *judge.ASPECTS,
    "intensity_accuracy",
    "head_motion_accuracy",
    "micro_action_f1",
  ):
    found[f"{name}_classifier"] = by_reader[name]
  return found


def _shuffled(truth, reader, seen: Seen, seed: int) -> dict:
  """`_seen_scores` of the true motions of other prompts."""
  if len(set(truth.keys)) < 2:
    return {}
  partners = retrieval.other_partners(truth.keys, seed)
  said = [lexicon.parse(seen.captions[i]) for i in partners]
  return _seen_scores(truth, reader, said, [seen.read[i] for i in partners])


def _multimodality(run, truth, embedded: list[np.ndarray], seed: int) -> dict:
  """How far apart the motions of one prompt are; None if there are too few."""
  if len(embedded) < 2:
    return {"multimodality": None}
  chosen = np.random.default_rng(seed).permutation(len(truth.clips))[:_PROMPTS]
  samples = [motions_ND[chosen] for motions_ND in embedded[:_SAMPLES]]
  if len(embedded) >= ENOUGH:
    clips = [truth.clips[i] for i in chosen]
    for r in range(len(samples), _SAMPLES):
      vectors, _ = generate(run, clips, seed * _SEEDS + r)
      samples.append(truth.network.embed_motions(vectors))
  samples_NSD = np.stack(samples, axis=1)
  return {
    "multimodality": distribution.multimodality(samples_NSD, _PAIRS, seed),
    "multimodality_prompts": len(chosen),
    "multimodality_samples": len(samples),
  }


def token_accuracy(run: face.Face, clips: Sequence[dict]) -> float:
  """Teacher-forced accuracy on the motion tokens of Language2Motion."""
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  template = instructions.L2M_TRAIN[0]  # the one `generate` uses
  config, rows = run.config, []
  lengths = (config.encoder_length, config.decoder_length, run.model.motion_cues)
  for clip, code in zip(clips, codes, strict=True):
    acts = (wording.terms(clip["attributes"], True), cues.of(clip["attributes"]))
    example = tasks.l2m_example(run.vocab, clip["prompt"], code, template, *acts)
    rows.append(packing.pack_row([example], *lengths))

  @jax.jit
  def score(params, batch):
    logits = run.model.apply(
      {"params": params},
      batch["encoder_input_tokens"],
      batch["decoder_input_tokens"],
      batch["encoder_segment_ids"],
      batch["decoder_segment_ids"],
      decoder_cues_BNF=batch.get("decoder_cues"),
    )
    targets = batch["decoder_target_tokens"]
    weights = (targets >= run.vocab.motion_offset).astype(np.float32)
    return losses.cross_entropy(logits, targets, weights)[1]["token_accuracy"]

  total = weight = 0.0
  for start in range(0, len(rows), _BATCH):
    group = rows[start : start + _BATCH]
    blank = {key: np.zeros_like(value) for key, value in group[0].items()}
    group = group + [blank] * (_BATCH - len(group))
    batch = {key: np.stack([row[key] for row in group]) for key in blank}
    s, w = jax.device_get(score(run.params, batch))
    total, weight = total + float(s), weight + float(w)
  return total / weight

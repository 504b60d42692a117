"""Scores a trained run on one split of the records; see docs/metrics.md.

`tdmm_jax.evaluation` computes them from `tdmm_jax.metrics`; two evaluations with the
same options give the same numbers.
"""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np

from tdmm_jax import files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import (
  completion,
  evaluator,
  language_to_motion,
  motion_sets,
  motion_to_language,
)
from tdmm_jax.face import motion_vector
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import face
from tdmm_jax.language import lexicon
from tdmm_jax.language.endpoint import Endpoint
from tdmm_jax.metrics import codebook, judge, llm_judge, regressions
from tdmm_jax.metrics import reconstruction as reconstruction_metrics
from tdmm_jax.runs import checkpoints, locate

SCHEMA_VERSION = 2
_TARGETS = regressions.TARGETS
_QUICK_TARGETS = tuple(t for t in _TARGETS if t not in ("emotion", "manner"))
_QUICK = "a quick evaluation fits no regression for the emotion's label"
_NO_BERT = "no --bert_model: BERTScore is measured with an encoder of yours"


@dataclasses.dataclass(frozen=True)
class Options:
  """What is scored, and how thoroughly.

  Attributes:
    split: of the records.
    max_clips: scores this many of its first clips; all by default.
    seed: of sampling, pools, pairs and shuffling.
    replications: how often each sampled score is repeated; 20 in a released table.
    quick: leaves out what takes longest: continuation, in-between, and the regressions
      for label and manner, so that `cor_e_classifier` says nothing.
    judge: the endpoint of a language model that also judges captions.
    judge_cache: file of its answers.
    bert_model: folder of the encoder of BERTScore.
  """

  split: str = "test"
  max_clips: int | None = None
  seed: int = 0
  replications: int = 1
  quick: bool = False
  judge: Endpoint | None = None
  judge_cache: str = "judge_answers.jsonl"
  bert_model: str | None = None


def network_of(run_dir) -> tuple[evaluator.Evaluator | None, str]:
  """The run's evaluator network, or None and the reason."""
  folder = files.as_path(run_dir) / locate.EVALUATOR
  if checkpoints.has_checkpoint(folder):
    return evaluator.load(folder), ""
  return None, f"no evaluator network in {folder}; train one (configs/evaluator.py)"


def reconstruction(codec, clips: list[dict]) -> dict[str, float]:
  """Tokenizer errors beside those of the constant (the mean training frame).

  `lip_error_mm` is LVE-L2, the mean over frames of the worst lip vertex's error.
  """
  codes = codec.encode_vectors([clip["vectors"] for clip in clips])
  constant_P = codec.variables["stats"]["params_mean"]
  errors = reconstruction_metrics.errors(
    codec.face, clips, codec.decode_vectors(codes), constant_P
  )
  return errors | codebook.usage(np.concatenate(codes), codec.num_codes)


def _check(run: face.Face, records_dir) -> dict[str, str]:
  """Returns the records' versions; UserError where the run's differ."""
  stored = records.versions(records_dir)
  if stored["head"] != run.codec.face.version:
    raise UserError(
      f"{records_dir}: made with face model version {stored['head']}, the run has "
      f"{run.codec.face.version}; build the records again"
    )
  if stored["lexicon"] != lexicon.VERSION:
    raise UserError(
      f"{records_dir}: made with lexicon version {stored['lexicon']}, this is "
      f"{lexicon.VERSION}; build the records again"
    )
  return stored


def evaluate(
  run: face.Face,
  records_dir,
  options: Options = Options(),
  network: evaluator.Evaluator | None = None,
  why_no_network: str = "no evaluator network was given",
  say: Callable[[str], None] = logging.info,
) -> dict:
  """All scores of a run.

  Args:
    network: see `network_of`; without it the scores in its space are None.
    why_no_network: the reason to give for that.

  Returns:
    {"schema_version", "split", "seed", "num_clips", "versions", "tokenizer", "m2l",
    "l2m", "ceilings", "unavailable": {score: why it is None}}; "m2l_tracked" of clips
    that are only heard, which nothing else counts; "qa" of a run that was trained with
    questions; unless quick, "continuation" and "inbetween". JSON-ready.

  Raises:
    UserError: records, run and network do not fit together; the judge does not answer.
  """
  scores = _heading(run, records_dir, options, network, why_no_network)
  clips = records.load_clips(records_dir, options.split, options.max_clips)
  most = max(regressions.MAX_CLIPS, len(clips))
  train = _acted(records.load_clips(records_dir, "train", most))
  tracked = [clip for clip in clips if clip["heard_only"]]
  clips = _acted(clips)
  if len(clips) < 2:
    raise UserError(
      f"{records_dir}: {len(clips)} {options.split} clips; score 2 at least"
    )
  scores["num_clips"] = len(clips)
  say(f"tokenizer: reconstructing {len(clips)} {options.split} clips")
  scores["tokenizer"] = reconstruction(run.codec, clips)
  say("fitting the attribute classifier on ground-truth training motions")
  reader = regressions.AttributeReader(
    train, _QUICK_TARGETS if options.quick else _TARGETS
  )
  read = reader.read([clip["vectors"] for clip in clips])
  truth = [clip["attributes"] for clip in clips]
  scores["ceilings"] = regressions.scores(reader.classes, read, truth)
  scores["ceilings"]["training_clips"] = reader.num_clips
  reference = regressions.judged(reader.classes, read, truth)
  captions = _captions(scores, run, clips, reference, options, say)
  if len(tracked) > 1:
    say(f"Motion2Language: describing {len(tracked)} motions as a tracker sees them")
    scores["m2l_tracked"] = _tracked(run, tracked, reader, options.seed)
  true = motion_sets.Truth(run.codec.face, clips, train, network)
  say(f"Language2Motion: generating {len(clips)} motions")
  seen = language_to_motion.Seen(captions, read)
  scores["l2m"], loop = language_to_motion.scores(
    run, true, reader, seen, options.replications, options.seed, say
  )
  if options.judge is not None:
    say(f"Language2Motion: {options.judge.model} judges")
    scores["l2m"]["llm_judge"] = llm_scores(clips, loop, options)
  if not options.quick:
    _completions(scores, run, true, options, say)
  return scores


def _acted(clips: list[dict]) -> list[dict]:
  return [clip for clip in clips if not clip["heard_only"]]


def _motions(run, clips: list[dict]) -> list[FaceMotion]:
  return [motion_vector.to_motion(c["vectors"], run.codec.face.name) for c in clips]


def _tracked(run, clips: list[dict], reader, seed: int) -> dict:
  """Motion2Language of clips that came through a stand-in for a tracker."""
  vectors = [clip["vectors"] for clip in clips]
  truth = [clip["attributes"] for clip in clips]
  reference = regressions.judged(reader.classes, reader.read(vectors), truth)
  codes = run.codec.encode_vectors(vectors)
  captions = run.describe_codes(codes, motions=_motions(run, clips))
  found = motion_to_language.scores(clips, captions, reference, seed)
  return found | {"num_clips": len(clips)}


def _heading(run, records_dir, options: Options, network, why_no_network: str) -> dict:
  """Describes what is scored, and what cannot be.

  Raises:
    UserError: records, run and network do not fit together.
  """
  versions = _check(run, records_dir)
  versions |= {"tokenizer": run.codec.version, "run": run.version}
  unavailable = {}
  if network is None:
    unavailable["evaluator space"] = why_no_network
  else:
    network.check(run.codec.face)
    versions["evaluator"] = network.versions["evaluator"]
  if options.quick:
    unavailable["cor_e_classifier"] = _QUICK
  if options.bert_model is None:
    unavailable["bertscore"] = _NO_BERT
  return {
    "schema_version": SCHEMA_VERSION,
    "split": options.split,
    "seed": options.seed,
    "versions": versions,
    "unavailable": unavailable,
  }


def _captions(scores: dict, run, clips, reference, options: Options, say) -> list[str]:
  """Scores of Motion2Language, and of questions; returns the captions."""
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  say(f"Motion2Language: describing {len(clips)} motions")
  motions = _motions(run, clips)
  captions = run.describe_codes(codes, motions=motions)
  scores["m2l"] = motion_to_language.scores(
    clips, captions, reference, options.seed, options.bert_model
  )
  if options.judge is not None:
    say(f"Motion2Language: {options.judge.model} judges")
    scores["m2l"]["llm_judge"] = llm_scores(clips, captions, options)
  if run.answers_questions:
    say(f"questions: {len(clips)} of each kind")
    # Only what test scores is asked in test's wordings: they choose nothing.
    wordings = "test" if options.split == "test" else "valid"
    scores["qa"] = motion_to_language.question_answering(
      run, clips, codes, motions, wordings
    )
  return captions


def _completions(scores: dict, run, truth, options: Options, say) -> None:
  longest = max(map(len, truth.vectors))
  for task in completion.SPANS:
    if longest > run.config.max_frames:
      scores[task] = None
      scores["unavailable"][task] = (
        f"a clip of {longest} frames, the run sees {run.config.max_frames} at once"
      )
      continue
    say(f"{task}: {len(truth.clips)} motions")
    scores[task] = completion.scores(
      run, truth, task, options.replications, options.seed, say
    )


def llm_scores(clips: list[dict], captions: list[str], options: Options) -> dict:
  """A language model's CorE, CorM, CorI, and its agreement with the lexicon judge.

  Returns:
    {"model", "cor_e", "cor_m", "cor_i", "unreadable": captions without an answer,
    "agreement": see `judge.agreement`}.
  """
  said, counts = llm_judge.judge_all(
    options.judge, [clip["prompt"] for clip in clips], captions, options.judge_cache
  )
  parsed = [lexicon.parse(caption) for caption in captions]
  ours = judge.judge_all([clip["attributes"] for clip in clips], parsed)
  means = {
    name: float(np.nanmean(values)) if np.isfinite(values).any() else None
    for name, values in said.items()
  }
  return means | {
    "model": options.judge.model,
    "unreadable": counts["unreadable"],
    "agreement": judge.agreement(ours, said),
  }

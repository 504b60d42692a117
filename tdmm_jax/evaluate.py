"""Scores of a trained run on one split of the records.

Shape letters: T frames, V vertices, P motion vector.
"""

import collections
import logging
from collections.abc import Callable

import jax
import numpy as np

from tdmm_jax import inference, losses
from tdmm_jax.data import packing, records, tasks
from tdmm_jax.errors import UserError
from tdmm_jax.language import instructions, lexicon, questions
from tdmm_jax.metrics import attributes, codebook
from tdmm_jax.metrics import reconstruction as reconstruction_metrics

SCHEMA_VERSION = 1


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


def motion_to_language(run: inference.Face, clips: list[dict]) -> dict:
  """Attribute scores of the captions given to test motions."""
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  captions = run.describe_codes(codes)
  truth = [clip["attributes"] for clip in clips]
  return attributes.caption_scores([lexicon.parse(c) for c in captions], truth)


def question_answering(run: inference.Face, clips: list[dict]) -> dict:
  """Share of right answers to each kind of question, in wordings that are held out.

  Beside each, as `<kind>_majority`, what the commonest right answer alone would score.
  """
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  scores = {}
  for kind in instructions.QUESTION_KINDS:
    wordings = instructions.questions(kind, "test")
    right, wanted = [], []
    for i, wording in enumerate(wordings):
      share = slice(i, None, len(wordings))
      answers = run.describe_codes(codes[share], wording)
      for answer, clip in zip(answers, clips[share], strict=True):
        wanted.append(questions.asked_for(kind, clip["attributes"]))
        right.append(questions.asked_for(kind, lexicon.parse(answer)) == wanted[-1])
    scores[f"{kind}_accuracy"] = float(np.mean(right))
    common = collections.Counter(map(str, wanted)).most_common(1)[0][1]
    scores[f"{kind}_majority"] = common / len(wanted)
  return scores


def language_to_motion(run: inference.Face, clips, classifier, seed: int = 0) -> dict:
  """Does the generated motion show the prompt's emotion family?

  By a classifier of ground-truth motions, and by the run's own captions (the loop).
  """
  seconds = [len(clip["vectors"]) / tasks.FPS for clip in clips]
  codes = run.generate_codes([clip["prompt"] for clip in clips], seconds, seed)
  vectors = run.codec.decode_vectors(codes)
  families = [clip["attributes"]["family"] for clip in clips]
  score = lambda predicted: attributes.macro_accuracy(
    [p == f for p, f in zip(predicted, families, strict=True)], families
  )
  captions = run.describe_codes(codes)
  return {
    "emotion_family_accuracy": score(classifier.predict(vectors)),
    "classifier_ceiling": score(classifier.predict([c["vectors"] for c in clips])),
    "loop_consistency": score([lexicon.parse(c)["family"] for c in captions]),
    "token_accuracy": token_accuracy(run, clips),
    "chance": 1 / len(set(families)),
    "majority": max(collections.Counter(families).values()) / len(families),
    "num_clips": len(clips),
  }


def token_accuracy(
  run: inference.Face, clips: list[dict], batch_size: int = 16
) -> float:
  """Teacher-forced accuracy on the motion tokens of Language2Motion."""
  codes = run.codec.encode_vectors([clip["vectors"] for clip in clips])
  template = instructions.L2M_TRAIN[0]  # the one `generate` uses
  config = run.config
  rows = []
  for clip, code in zip(clips, codes, strict=True):
    example = tasks.l2m_example(run.vocab, clip["prompt"], code, template)
    rows.append(
      packing.pack_row([example], config.encoder_length, config.decoder_length)
    )

  @jax.jit
  def score(params, batch):
    logits = run.model.apply(
      {"params": params},
      batch["encoder_input_tokens"],
      batch["decoder_input_tokens"],
      batch["encoder_segment_ids"],
      batch["decoder_segment_ids"],
    )
    targets = batch["decoder_target_tokens"]
    weights = (targets >= run.vocab.motion_offset).astype(np.float32)
    return losses.cross_entropy(logits, targets, weights)[1]["token_accuracy"]

  total = weight = 0.0
  for start in range(0, len(rows), batch_size):
    group = rows[start : start + batch_size]
    blank = {key: np.zeros_like(value) for key, value in group[0].items()}
    group = group + [blank] * (batch_size - len(group))
    batch = {key: np.stack([row[key] for row in group]) for key in blank}
    s, w = jax.device_get(score(run.params, batch))
    total, weight = total + float(s), weight + float(w)
  return total / weight


def evaluate(
  run: inference.Face,
  records_dir,
  split: str = "test",
  max_clips: int | None = None,
  seed: int = 0,
  say: Callable[[str], None] = logging.info,
) -> dict:
  """All scores of a run.

  Returns:
    {"schema_version", "split", "tokenizer", "m2l", "l2m"}, and "qa" of a run that was
    trained with questions; JSON-ready.
  """
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
  clips = records.load_clips(records_dir, split)[:max_clips]
  train = records.load_clips(records_dir, "train")
  say(f"tokenizer: reconstructing {len(clips)} {split} clips")
  scores = {"schema_version": SCHEMA_VERSION, "split": split, "seed": seed}
  scores["tokenizer"] = reconstruction(run.codec, clips)
  say("fitting the attribute classifier on ground-truth training motions")
  classifier = attributes.AttributeClassifier(
    [clip["vectors"] for clip in train], [c["attributes"]["family"] for c in train]
  )
  say(f"Motion2Language: describing {len(clips)} motions")
  scores["m2l"] = motion_to_language(run, clips)
  if run.answers_questions:
    say(f"questions: {len(clips)} of each kind")
    scores["qa"] = question_answering(run, clips)
  say(f"Language2Motion: generating {len(clips)} motions")
  scores["l2m"] = language_to_motion(run, clips, classifier, seed)
  for key in ("chance", "majority"):
    scores["m2l"][key] = scores["l2m"][key]
  scores["m2l"]["ceiling"] = scores["l2m"]["classifier_ceiling"]
  return scores

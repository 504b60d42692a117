"""Scores captions: what they say about a clip, and how they say it."""

import collections
from collections.abc import Sequence

import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.generate import face
from tdmm_jax.language import lexicon, question_wordings, questions
from tdmm_jax.metrics import attributes, judge, language, retrieval


def scores(
  clips: Sequence[dict],
  captions: Sequence[str],
  reference: dict | None = None,
  seed: int = 0,
  bert_model=None,
) -> dict:
  """Scores of one caption of each clip.

  Args:
    clips: dicts of attributes, prompt and captions.
    captions: one for each clip.
    reference: what a caption of what regressions read off the motions would score.
    seed: of the shuffling.
    bert_model: see `language.scores`.

  Returns:
    The scores, and beside them those of `real_captions` (another caption of the clip's
    own, against the others), `ceiling` (the reference) and `floor` (a caption of
    another clip, which says something else); chance and majority of the family.
  """
  truth = [clip["attributes"] for clip in clips]
  families = [a["family"] for a in truth]
  references = [tasks.clip_texts(clip) for clip in clips]
  found = _said(captions, truth, references, bert_model)
  found["chance"] = 1 / len(set(families))
  found["majority"] = max(collections.Counter(families).values()) / len(families)
  if all(len(group) > 1 for group in references):
    own, others = [g[-1] for g in references], [g[:-1] for g in references]
    found["real_captions"] = _said(own, truth, others, bert_model)
  keys = [tasks.attributes_key(a) for a in truth]
  if len(set(keys)) > 1:
    partners = retrieval.other_partners(keys, seed)
    wrong = [references[i][-1] for i in partners]
    found["floor"] = _said(wrong, truth, references, bert_model)
  if reference is not None:
    found["ceiling"] = reference  # the key of stored files
  return found


def _said(captions, truth, references, bert_model) -> dict:
  parsed = [lexicon.parse(caption) for caption in captions]
  found = attributes.caption_scores(parsed, truth)
  found |= judge.means(judge.judge_all(truth, parsed))
  return found | language.scores(captions, references, bert_model)


def question_answering(run: face.Face, clips, codes, motions, split: str) -> dict:
  """Share of right answers to each kind of question, in a split's wordings.

  `<kind>_majority` is what the commonest right answer alone would score.
  """
  found = {}
  for kind in question_wordings.QUESTION_KINDS:
    wordings = question_wordings.questions(kind, split)
    right, wanted = [], []
    for i, wording in enumerate(wordings):
      share = slice(i, None, len(wordings))
      answers = run.describe_codes(codes[share], wording, motions=motions[share])
      for answer, clip in zip(answers, clips[share], strict=True):
        wanted.append(questions.asked_for(kind, clip["attributes"]))
        right.append(questions.asked_for(kind, lexicon.parse(answer)) == wanted[-1])
    found[f"{kind}_accuracy"] = float(np.mean(right))
    common = collections.Counter(map(str, wanted)).most_common(1)[0][1]
    found[f"{kind}_majority"] = common / len(wanted)
  return found

"""Wordings are partitioned, many, and say what the task needs."""

import string

import pytest

from tdmm_jax.language import instructions, question_wordings
from tdmm_jax.vocab import TASKS

SPLITS = instructions.SPLITS
TEMPLATED = [task for task in TASKS if task not in ("qa", "span_corruption")]
GROUPS = {  # what wordings are for -> split -> wordings
  **{t: {s: instructions.templates(t, s) for s in SPLITS} for t in TEMPLATED},
  **{
    kind: {s: question_wordings.questions(kind, s) for s in SPLITS}
    for kind in question_wordings.QUESTION_KINDS
  },
}


def slots(template):
  return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name)


@pytest.mark.parametrize("group", GROUPS)
def test_partition(group):
  wordings = GROUPS[group]
  assert len(wordings["train"]) >= 5 and len(wordings["test"]) >= 2
  assert wordings["valid"]


def test_at_least_a_hundred_and_none_twice():
  every = [t for g in GROUPS.values() for s in SPLITS for t in g[s]]
  assert len(set(every)) == len(every) >= 100


@pytest.mark.parametrize("task", TEMPLATED)
@pytest.mark.parametrize("split", SPLITS)
def test_slots(task, split):
  wanted = {"l2m": ["prompt", "seconds"], "m2l": []}.get(task, ["seconds"])
  for template in instructions.templates(task, split):
    assert slots(template) == wanted
    text = instructions.fill(template, 3.96, "{A} man nods.")
    assert ("{A} man nods." in text) == ("prompt" in wanted)
    assert ("4.0" in text) == ("seconds" in wanted)


def test_training_texts_are_those_of_the_tasks_in_use():
  said = instructions.training_texts(["l2m", "qa"])
  has = lambda wording: instructions.fill(wording, 0.3) in said
  assert all(map(has, instructions.L2M_TRAIN))
  assert any("blinking" in text for text in said)
  assert not any(map(has, (*GROUPS["denoising"]["train"], *GROUPS["m2l"]["train"])))
  assert all(digit in "".join(said) for digit in "0123456789")  # or they have no pieces
  said = instructions.training_texts(TASKS)
  held_out = {t for g in GROUPS.values() for s in ("valid", "test") for t in g[s]}
  assert not any(map(has, held_out))

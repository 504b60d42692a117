"""Instruction templates are partitioned, and say what the task needs."""

import string

import pytest

from tdmm_jax.language import instructions


def slots(template):
  return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name)


def test_partition():
  splits = [instructions.templates(split) for split in ("train", "valid", "test")]
  for task in (0, 1):
    groups = [set(split[task]) for split in splits]
    assert len(groups[0]) >= 8 and len(groups[2]) >= 2
    assert len(set().union(*groups)) == sum(map(len, groups))


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_slots(split):
  l2m, m2l = instructions.templates(split)
  for template in l2m:
    assert slots(template) == ["prompt", "seconds"]
    text = instructions.l2m_text("{A} man nods.", 3.96, template)
    assert "{A} man nods." in text and "4.0" in text
  for template in m2l:
    assert slots(template) == []


def test_m2l_text_goes_round():
  count = len(instructions.M2L_TEST)
  assert instructions.m2l_text(count, "test") == instructions.m2l_text(0, "test")

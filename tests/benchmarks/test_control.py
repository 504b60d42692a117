"""The sentences of the control benchmark say what they are measured by."""

from benchmarks import control
from data_prep import sentences
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon


def test_kinds_are_many_and_told_in_held_out_words():
  kinds = control.kinds()
  assert len({name for name, _ in kinds}) == len(kinds) >= 40
  assert {act.name for _, acts in kinds for act in acts} >= set(acts_lib.KINDS)
  for seed in range(2):
    for name, acts in kinds:
      text = control.sentence(acts, seed)
      heard = acts_lib.acts_of(lexicon.parse(text, 30.0))
      assert acts_lib.said_of(heard) == acts_lib.said_of(acts), (name, text)
  assert not set(sentences.PATTERNS["test"]["acts"]) & set(
    sentences.PATTERNS["train"]["acts"]
  )


def test_written_sentences_are_well_formed():
  rows = control.written()
  assert len(rows) >= 80 and len({text for text, _ in rows}) == len(rows)
  for text, acts in rows:
    for act in acts:
      known = lexicon.LABELS if act.emotion else {*acts_lib.KINDS, acts_lib.STILL}
      assert act.name in known, text


def test_summary_by_hand():
  found = control.summary(
    [("nod", [("present", True), ("count", False)]), ("nod", [("present", True)])]
  )
  assert found["obeyed"] == 0.5 and found["kinds"] == {"nod": 0.5}
  assert found["aspects"] == {"count": 0.0, "present": 1.0}

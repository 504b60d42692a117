"""Acts are read as people write them, and written so that they are read again."""

import pytest
import tiny

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, wording
from tdmm_jax.language.acts import KINDS, STILL, Act


def told(text, seconds=4.0):
  return acts_lib.acts_of(lexicon.parse(text, seconds))


def every_act():
  for name, kind in KINDS.items():
    for side in ("left", "right", "both", "one") if kind.sided else ("",):
      if side == "both" and name in ("wink", "lopsided_smile"):
        continue
      for direction in kind.directions or ("",):
        for count in (0, 1, 4) if kind.counted else (0,):
          for tempo in ("", "slow", "quick"):
            act = Act(name, side=side, direction=direction, count=count, tempo=tempo)
            yield act
            yield act.replace(when="after", start_s=2.0)
    yield Act(name, hold="held" if kind.held else "brief", when="start")
    yield Act(name, absent=True)
  yield Act(STILL)


def test_what_is_written_of_an_act_is_read_again():
  for act in every_act():
    text = wording.sentence([act])
    assert acts_lib.said_of(told(text, 30.0)) == acts_lib.said_of([act]), text
    assert acts_lib.from_dict(act.to_dict()) == act


PLAIN = [
  ("She smiles slightly", [("smiling", {"size": 2})]),
  ("He yawns", [("yawning", {})]),
  ("He frowns angrily", [("frowning", {}), ("angry", {})]),
  ("raises his left eyebrow", [("brow_raise", {"side": "left"})]),
  ("closes his eyes and keeps them shut", [("eyes_closed", {"hold": "held"})]),
  ("his eyes dart to the right", [("gaze_shift", {"direction": "right"})]),
  ("his mouth hangs wide open", [("jaw_drop", {"hold": "held"})]),
  ("He is not smiling", [("smiling", {"absent": True})]),
  ("without smiling or blinking", [("smiling", {"absent": True}),
                                   ("blink", {"absent": True})]),
  ("two slow nods", [("nod", {"count": 2, "tempo": "slow"})]),
  ("nods 3 times", [("nod", {"count": 3})]),
  ("She nods twice, then winks with her left eye",
   [("nod", {"count": 2, "end_s": 2.0}), ("wink", {"side": "left", "start_s": 2.0})]),
  ("After a second and a half she nods", [("nod", {"start_s": 1.5, "when": "after"})]),
  ("He looks left, then right",
   [("gaze_shift", {"direction": "left"}), ("gaze_shift", {"direction": "right"})]),
  ("She does not nod and blinks twice",
   [("nod", {"absent": True}), ("blink", {"count": 2, "absent": False})]),
  ("He smiles with the left corner of his mouth", [("lopsided_smile",
                                                    {"side": "left"})]),
]  # fmt: skip


@pytest.mark.parametrize("text,wanted", PLAIN)
def test_plain_english(text, wanted):
  found = told(text)
  assert [act.name for act in found] == [name for name, _ in wanted]
  for act, (_, fields) in zip(found, wanted, strict=True):
    assert {name: getattr(act, name) for name in fields} == fields


@pytest.mark.parametrize(
  "text,seconds,message",
  [
    ("She smiles without smiling.", 4.0, "both asked for and denied"),
    ("He nods ten times.", 1.0, "does not fit into 1 s; it is done 2 times"),
    ("He winks with his third eye.", 4.0, "a left and a right side"),
    ("She sticks out her tongue.", 4.0, "cannot move its tongue"),
    ("After nine seconds he nods.", 4.0, "it comes last"),
    ("He keeps his head still and nods.", 4.0, "it moves"),
  ],
)
def test_what_cannot_be_done_is_said(text, seconds, message):
  warnings = lexicon.reading_of(text, seconds).warnings
  assert len(warnings) == 1 and message in warnings[0]
  assert not lexicon.reading_of("She nods twice, then smiles.").warnings


def test_the_docs_list_every_act():
  page = (tiny.REPO / "docs" / "generation.md").read_text()
  for name, kind in KINDS.items():
    act = Act(
      name,
      side="left" if kind.sided else "",
      direction=kind.directions[0] if kind.directions else "",
      count=2 if kind.counted else 0,
    )
    row = f"| {kind.what} | {wording.phrase(act).replace('~', 'her')} |"
    assert row in page, row

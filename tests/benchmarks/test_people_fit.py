"""What `benchmarks.people_fit` counts, by hand."""

import dataclasses

import numpy as np
import pytest

from benchmarks import people_fit
from tdmm_jax.face import facs, head_file, load_model


def action(code, onset, apex, offset, level=0.6):
  fields = {field.name: None for field in dataclasses.fields(facs.Action)}
  times = {"onset_s": onset, "apex_s": apex, "offset_s": offset}
  return facs.Action(**fields | times | {"code": code, "activation": level})


def test_events_are_matched_by_unit_and_time():
  events = [("12", 1.0, 2.0, 1.3, 1.7, 0.8), ("4", 0.5, 1.5, 0.8, 1.2, 0.6)]
  read = [
    action("12", 1.1, 1.9, 2.2, 0.4),
    action("4", 3.0, 3.2, 3.6),  # another time
    action("9", 1.0, 1.2, 1.4),  # nothing of the kind
    action("10", 1.0, 1.2, 1.4, 0.2),  # too weak to count
    action("25", 0.0, 1.0, 4.0),  # speech, not among the negatives
  ]
  found = people_fit._matched(events, read)
  assert (found["hits"], found["missed"], found["false"]) == (1, 1, 2)
  onset, apex, offset, level = found["timing"]
  np.testing.assert_allclose([*onset, *apex, *offset, *level], [0.1, 0.2, 0.2, 0.5])
  summary = people_fit._summary([found], 1)
  assert summary["f1"] == pytest.approx(2 / 5)
  assert summary["false_per_clip"] == 2.0


def test_planted_events_are_read_from_the_motion_itself():
  face = load_model.load_face_model(head_file.DEFAULT)
  rows = []
  for i in range(6):
    clip, events = people_fit._planted(face, np.random.default_rng(i))
    rows.append(people_fit._matched(events, facs.read_actions(clip, face)))
  found = people_fit._summary(rows, 6)
  assert found["f1"] > 0.95 and found["onset_error_s"] < 0.08

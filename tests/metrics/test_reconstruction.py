"""Errors over a corpus equal those of one clip after another, in numpy."""

import numpy as np
import pytest

from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.metrics import geometry, reconstruction


def random_motions(lengths, num_params, seed):
  rng = np.random.default_rng(seed)
  draw = lambda n: np.cumsum(rng.normal(size=(n, num_params)), 0) * 0.03
  return [draw(n).astype(np.float32) for n in lengths]


def test_a_corpus_is_scored_as_its_clips():
  face = load_model.load_face_model("default_v1")
  lengths, width = (70, 12, 64, 5), face.num_expression + motion_vector.NUM_POSE
  rng = np.random.default_rng(1)
  truth = random_motions(lengths, width, 0)
  decoded = [x + rng.normal(size=x.shape).astype(np.float32) * 0.05 for x in truth]
  valid = [rng.random(n) < 0.9 for n in lengths]
  valid[3][:] = False  # a clip that no metric sees
  clips = [{"vectors": x, "valid": ok} for x, ok in zip(truth, valid)]
  still_P = truth[1][3]
  found = reconstruction.errors(face, clips, decoded, still_P)

  place = lambda x: face_model.motion_vertices(
    face, motion_vector.to_motion(x, face.name), head_fixed=True, identity=False
  )
  region, lips, upper = (face.regions[n] for n in ("face", "lips", "upper_face"))
  areas = np.asarray(face.vertex_areas)[region]
  rest = place(np.zeros((1, width)))[0]
  for prefix in ("", "constant_"):
    rows, frames, clips_seen = [], [], []
    for g, p, ok in zip(truth[:3], decoded, valid):
      x = p if prefix == "" else np.broadcast_to(still_P, g.shape)
      pv, gv = place(x), place(g)
      lip = geometry.lip_errors(pv[:, lips], gv[:, lips], ok)
      rows.append(
        {
          "face_error_mm": geometry.face_error_mm(
            pv[:, region], gv[:, region], areas, ok
          ),
          "fve_mm": geometry.vertex_error_mm(pv[:, region], gv[:, region], ok),
          "mve_mm": geometry.vertex_error_mm(pv, gv, ok),
          "head_error_deg": geometry.head_error_deg(x[:, -3:], g[:, -3:], ok),
          "lip_error_mm": lip["lve_l2_mm"],
          "lip_lve_sq_mm2": lip["lve_sq_mm2"],
        }
      )
      frames.append(ok.sum())
      clips_seen.append(geometry.fdd(pv[:, upper], gv[:, upper], rest[upper], ok))
    for name in rows[0]:
      wanted = np.average([row[name] for row in rows], weights=frames)
      np.testing.assert_allclose(found[prefix + name], wanted, rtol=1e-4, err_msg=name)
    for name in clips_seen[0]:
      wanted = np.mean([row[name] for row in clips_seen])
      np.testing.assert_allclose(
        found[prefix + name], wanted, rtol=1e-3, atol=1e-5, err_msg=name
      )
    square = found[f"{prefix}lip_lve_sq_mm2"]
    np.testing.assert_allclose(found[f"{prefix}lip_lve_rms_mm"] ** 2, square)
  totals = np.zeros((2, 2))
  for g, p, ok in zip(truth, decoded, valid):
    totals += [geometry.jitter(place(x)[:, region], ok) for x in (p, g)]
  (p_sum, p_n), (g_sum, g_n) = totals
  np.testing.assert_allclose(
    found["jitter_ratio"], p_sum / p_n / (g_sum / g_n), rtol=1e-4
  )


def test_fdd_by_hand():
  rest = np.array([[1.0, 0, 0]])
  along = lambda *x: rest + np.array(x)[:, None, None] * [[[0.001, 0.001, 0]]]
  g, p = along(0, 2, 7), along(0, 1, 7)  # the last is not valid
  found = geometry.fdd(p, g, rest, np.array([True, True, False]))
  # Squares 0, 8 and 0, 2 mm²: spreads 4 and 1. Sums 0, 4 and 0, 2 mm: 2 and 1.
  assert found == pytest.approx({"fdd_mm2": 3.0, "fdd_abs_mm": 1.0})

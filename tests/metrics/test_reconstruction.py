"""Errors over a corpus equal those of one clip after another, in numpy."""

import numpy as np
from scipy.spatial.transform import Rotation

from tdmm_jax.face import face_model, load_model, motion_vector
from tdmm_jax.metrics import reconstruction, smoothness


def random_motions(lengths, num_params, seed):
  rng = np.random.default_rng(seed)
  draw = lambda n: np.cumsum(rng.normal(size=(n, num_params)), 0) * 0.03
  return [draw(n).astype(np.float32) for n in lengths]


def test_a_corpus_is_scored_as_its_clips():
  face = load_model.default_head()
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
      mm = np.linalg.norm(pv[ok] - gv[ok], axis=-1) * 1000
      rows.append(
        {
          "face_error_mm": np.average(mm[:, region], axis=1, weights=areas).mean(),
          "fve_mm": mm[:, region].mean(),
          "mve_mm": mm.mean(),
          "head_error_deg": reconstruction.head_error_deg(x[:, -3:], g[:, -3:], ok),
          "lip_error_mm": mm[:, lips].max(-1).mean(),
          "lip_lve_sq_mm2": (mm[:, lips].max(-1) ** 2).mean(),
        }
      )
      frames.append(ok.sum())
      p, g = ((v[ok][:, upper] - rest[upper]) * 1000 for v in (pv, gv))
      squares = (g**2).sum(-1).std(0) - (p**2).sum(-1).std(0)
      sums = np.abs(g.sum(-1).std(0) - p.sum(-1).std(0))
      clips_seen.append({"fdd_mm2": squares.mean(), "fdd_abs_mm": sums.mean()})
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
    totals += [smoothness.jitter(place(x)[:, region], ok) for x in (p, g)]
  (p_sum, p_n), (g_sum, g_n) = totals
  np.testing.assert_allclose(
    found["jitter_ratio"], p_sum / p_n / (g_sum / g_n), rtol=1e-4
  )


def test_head_error_is_the_geodesic_angle():
  rng = np.random.default_rng(0)
  p, g = rng.normal(size=(2, 50, 3))
  valid = rng.random(50) < 0.8
  matrices = [Rotation.from_rotvec(x[valid]).as_matrix() for x in (p, g)]
  cosine = (np.einsum("tij,tij->t", *matrices) - 1) / 2
  expected = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
  np.testing.assert_allclose(reconstruction.head_error_deg(p, g, valid), expected)
  one = np.radians([[30.0, 0, 0], [0, 0, 0], [0, 0, 0]])
  two = np.radians([[0, 0, 0], [0, 10.0, 0], [0, 0, 99.0]])
  np.testing.assert_allclose(
    reconstruction.head_error_deg(one, two, [True, True, False]), 20.0
  )
  # A turn of 350 degrees one way is 10 the other.
  far = np.radians([[350.0, 0, 0]])
  np.testing.assert_allclose(reconstruction.head_error_deg(far, far * 0, [True]), 10.0)

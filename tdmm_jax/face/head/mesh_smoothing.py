"""Evens out a triangle mesh that lies on the default head's sculpted skin.

Shape letters: V vertices, F triangles, E edges.
"""

import numpy as np

from tdmm_jax.face.head import surface


def even_out(vertices_V3, faces_F3, free_V, midline_V, rounds=3, steps=4):
  """Moves free vertices along the skin and flips edges until triangles are even.

  Args:
    vertices_V3: float[V, 3], cm, on the skin.
    faces_F3: int[F, 3].
    free_V: bool[V], the vertices that may move.
    midline_V: bool[V], the vertices that stay at x = 0.
    rounds: how often edges are flipped.
    steps: moves in each round.

  Returns:
    The new vertices float64[V, 3] and triangles int[F, 3], wound as before.
  """
  vertices, faces = vertices_V3.copy(), faces_F3.copy()
  for _ in range(rounds):
    faces = _flip_edges(vertices, faces)
    edges = edges_of(faces)
    i, j = edges.T
    count = np.bincount(edges.ravel(), minlength=len(vertices))
    for _ in range(steps):
      pairs = np.concatenate([vertices[j], vertices[i]])
      ends = np.concatenate([i, j])
      sums = np.stack(
        [np.bincount(ends, pairs[:, a], len(vertices)) for a in range(3)], axis=-1
      )
      middle = sums[free_V] / count[free_V, None]
      moved = vertices[free_V] + 0.5 * (middle - vertices[free_V])
      moved[midline_V[free_V], 0] = 0.0
      vertices[free_V] = _onto_skin(moved, midline_V[free_V])
  return vertices, faces


def edges_of(faces_F3):
  """int[E, 2]: each edge once, the smaller id first."""
  sides = np.sort(faces_F3[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
  return np.unique(sides, axis=0)


def _onto_skin(points_P3, midline_P, reach=1e-3):
  """The points moved along the skin's normal onto it."""
  depth = surface.signed_distance(points_P3)
  steps = np.repeat(points_P3[None], 3, 0) + reach * np.eye(3)[:, None]
  slope = surface.signed_distance(steps.reshape(-1, 3)).reshape(3, -1) - depth
  gradient = slope.T / reach
  gradient[midline_P, 0] = 0.0
  square = np.maximum((gradient**2).sum(-1), 0.05)
  return points_P3 - np.clip(depth / square, -0.2, 0.2)[:, None] * gradient


def _flip_edges(vertices_V3, faces_F3):
  """Flips each edge whose opposite angles sum to more than 180 degrees."""
  faces = faces_F3.copy()
  for _ in range(3):
    owners = {}
    for face, corners in enumerate(faces.tolist()):
      for k in range(3):
        owners[corners[k], corners[(k + 1) % 3]] = (face, corners[(k + 2) % 3])
    pairs = np.array(
      [
        (a, b, *owners[a, b], *owners[b, a])
        for (a, b) in owners
        if a < b and (b, a) in owners
      ]
    )
    a, b, left, c, right, d = pairs.T
    angle = _angle(vertices_V3, c, a, b) + _angle(vertices_V3, d, a, b)
    wide = _angle(vertices_V3, a, b, c) + _angle(vertices_V3, a, b, d)
    also = _angle(vertices_V3, b, a, c) + _angle(vertices_V3, b, a, d)
    better = (angle > np.pi + 0.05) & (wide < np.pi - 0.1) & (also < np.pi - 0.1)
    touched, new = set(), set()
    for k in np.flatnonzero(better)[np.argsort(-angle[better], kind="stable")]:
      one, two = int(left[k]), int(right[k])
      diagonal = (min(c[k], d[k]), max(c[k], d[k]))
      exists = diagonal in owners or diagonal[::-1] in owners or diagonal in new
      if one in touched or two in touched or exists:
        continue
      touched |= {one, two}
      new.add(diagonal)
      faces[one] = (a[k], d[k], c[k])
      faces[two] = (d[k], b[k], c[k])
    if not new:
      break
  return faces


def _angle(vertices_V3, at, first, second):
  u = vertices_V3[first] - vertices_V3[at]
  v = vertices_V3[second] - vertices_V3[at]
  cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
  return np.arccos(np.clip(cosine, -1.0, 1.0))

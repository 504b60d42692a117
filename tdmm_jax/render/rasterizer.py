"""A small software renderer: z-buffer, soft shadows, ambient occlusion, no OpenGL.

A fresh machine or a TPU VM has no graphics driver, and a renderer that needs one ends
there with a crash. A head of some ten thousand triangles needs none: the loops below,
compiled by numba, draw it in a few milliseconds and give the same pixels everywhere.

Shapes: V vertices, F faces, H and W the picture's height and width in pixels. Pictures
are drawn with SUPERSAMPLE x SUPERSAMPLE samples a pixel. Camera space: x right, y up,
z towards the viewer, metres. Every kernel releases the GIL, so that threads share it.
"""

import numba
import numpy as np

SUPERSAMPLE = 2
LIFT_M = np.float32(0.0025)  # how far off the surface shadows are looked up

_jit = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")


@_jit
def vertex_normals(vertices_V3, faces_F3):
  """Area-weighted unit normals, float32[V, 3]; zero where a vertex has no face."""
  normals_V3 = np.zeros_like(vertices_V3)
  for f in range(faces_F3.shape[0]):
    a, b, c = faces_F3[f, 0], faces_F3[f, 1], faces_F3[f, 2]
    ux = vertices_V3[b, 0] - vertices_V3[a, 0]
    uy = vertices_V3[b, 1] - vertices_V3[a, 1]
    uz = vertices_V3[b, 2] - vertices_V3[a, 2]
    vx = vertices_V3[c, 0] - vertices_V3[a, 0]
    vy = vertices_V3[c, 1] - vertices_V3[a, 1]
    vz = vertices_V3[c, 2] - vertices_V3[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    for v in (a, b, c):
      normals_V3[v, 0] += nx
      normals_V3[v, 1] += ny
      normals_V3[v, 2] += nz
  for v in range(normals_V3.shape[0]):
    x, y, z = normals_V3[v]
    scale = 1.0 / max(np.sqrt(x * x + y * y + z * z), 1e-20)
    for k in range(3):
      normals_V3[v, k] *= scale
  return normals_V3


@_jit
def _span(value, step, inverse_step, low, high):
  """Narrows samples [low, high] to those x where value + step * x >= 0."""
  if step > 0.0:
    low = max(low, np.float32(np.ceil(-value * inverse_step)))
  elif step < 0.0:
    high = min(high, np.float32(np.floor(-value * inverse_step)))
  elif value < 0.0:
    high = low - np.float32(1.0)
  return low, high


@_jit
def fill_depth(screen_V3, faces_F3, depth_HW, triangle_HW):
  """Draws triangles into a z-buffer: the nearest one wins each sample.

  Args:
    screen_V3: float32[V, 3]; x, y in samples from the top left, and a closeness that is
      larger nearer to the viewer (and linear on the screen, such as 1 / distance).
    faces_F3: int32[F, 3].
    depth_HW: float32[H, W], overwritten: the closeness, -1e30 where nothing is.
    triangle_HW: int32[H, W], overwritten: the face seen, -1 where nothing is.
  """
  height, width = depth_HW.shape
  half, one = np.float32(0.5), np.float32(1.0)
  depth_HW[:] = -1e30
  triangle_HW[:] = -1
  for f in range(faces_F3.shape[0]):
    a, b, c = faces_F3[f, 0], faces_F3[f, 1], faces_F3[f, 2]
    ax, ay, az = screen_V3[a]
    bx, by, bz = screen_V3[b]
    cx, cy, cz = screen_V3[c]
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if area == 0.0:
      continue
    left = max(np.ceil(min(ax, bx, cx) - half), np.float32(0.0))
    right = min(np.floor(max(ax, bx, cx) - half), np.float32(width - 1))
    top = max(int(np.ceil(min(ay, by, cy) - half)), 0)
    bottom = min(int(np.floor(max(ay, by, cy) - half)), height - 1)
    inverse = one / area
    step_b, step_c = (cy - ay) * inverse, -(by - ay) * inverse  # along a row
    step_a = -step_b - step_c
    inverse_a = one / step_a if step_a != 0.0 else one
    inverse_b = one / step_b if step_b != 0.0 else one
    inverse_c = one / step_c if step_c != 0.0 else one
    step_z = step_b * (bz - az) + step_c * (cz - az)
    for y in range(top, bottom + 1):
      dy, dx = np.float32(y) + half - ay, half - ax
      wb = (dx * (cy - ay) - dy * (cx - ax)) * inverse  # at x = 0
      wc = (dy * (bx - ax) - dx * (by - ay)) * inverse
      low, high = _span(wb, step_b, inverse_b, left, right)
      low, high = _span(wc, step_c, inverse_c, low, high)
      low, high = _span(one - wb - wc, step_a, inverse_a, low, high)
      z = az + wb * (bz - az) + wc * (cz - az)
      for x in range(int(low), int(high) + 1):  # stores without branches: vectorised
        here, before = z + step_z * np.float32(x), depth_HW[y, x]
        nearer = here > before
        depth_HW[y, x] = here if nearer else before
        triangle_HW[y, x] = f if nearer else triangle_HW[y, x]


@_jit
def _add_sample(f, x, y, screen_V3, faces_F3, attributes_VA, share, total_A):
  """Adds what face `f` shows at (x, y), in samples, `share` times."""
  a, b, c = faces_F3[f, 0], faces_F3[f, 1], faces_F3[f, 2]
  ax, ay = screen_V3[a, 0], screen_V3[a, 1]
  bx, by = screen_V3[b, 0] - ax, screen_V3[b, 1] - ay
  cx, cy = screen_V3[c, 0] - ax, screen_V3[c, 1] - ay
  area = bx * cy - cx * by
  dx, dy = x - ax, y - ay
  wb, wc = (dx * cy - dy * cx) / area, (dy * bx - dx * by) / area
  wa = np.float32(1.0) - wb - wc
  # On the screen y points down, so a face that looks at the viewer has area < 0.
  behind = area > 0.0
  for k in range(8):
    value = wa * attributes_VA[a, k] + wb * attributes_VA[b, k]
    value += wc * attributes_VA[c, k]
    if behind and k >= 3:
      value = -value if k < 6 else np.float32(0.12) * value
    total_A[k] += share * value


@_jit
def resolve(triangle_HW, screen_V3, faces_F3, attributes_VA, surface_HWA):
  """Averages what the samples of a pixel see into one surface point per pixel.

  Args:
    triangle_HW: as `fill_depth` wrote it, SUPERSAMPLE times as large.
    screen_V3: float32[V, 3], in samples, as `fill_depth` took it.
    faces_F3: int32[F, 3].
    attributes_VA: float32[V, 8]: camera-space position, normal, albedo, gloss.
    surface_HWA: float32[H, W, 9], overwritten: the attributes' mean over the samples
      hit, and the share of samples hit. The normal of a face seen from behind points
      at the viewer, and its albedo is dark: it is the inside of an open mesh.
  """
  height, width, _ = surface_HWA.shape
  total = np.empty(8, np.float32)
  half, one = np.float32(0.5), np.float32(1.0)
  for py in range(height):
    for px in range(width):
      y, x = SUPERSAMPLE * py, SUPERSAMPLE * px
      f = triangle_HW[y, x]
      same = True
      for s in range(1, SUPERSAMPLE * SUPERSAMPLE):
        same &= triangle_HW[y + s // SUPERSAMPLE, x + s % SUPERSAMPLE] == f
      if same and f < 0:
        surface_HWA[py, px, 8] = 0.0
        continue
      for k in range(8):
        total[k] = 0.0
      if same:  # most pixels: attributes are linear, so the middle has their mean
        middle = half * SUPERSAMPLE
        at_x, at_y = np.float32(x) + middle, np.float32(y) + middle
        _add_sample(f, at_x, at_y, screen_V3, faces_F3, attributes_VA, one, total)
        for k in range(8):
          surface_HWA[py, px, k] = total[k]
        surface_HWA[py, px, 8] = one
        continue
      hits = 0
      for s in range(SUPERSAMPLE * SUPERSAMPLE):
        sy, sx = y + s // SUPERSAMPLE, x + s % SUPERSAMPLE
        f = triangle_HW[sy, sx]
        if f < 0:
          continue
        hits += 1
        at_x, at_y = np.float32(sx) + half, np.float32(sy) + half
        _add_sample(f, at_x, at_y, screen_V3, faces_F3, attributes_VA, one, total)
      for k in range(8):
        surface_HWA[py, px, k] = total[k] / hits
      surface_HWA[py, px, 8] = hits / (SUPERSAMPLE * SUPERSAMPLE)


@_jit
def open_sky_share(surface_HWA, y, x, reach_px, offsets_N2, radius_m):
  """How much of the sky over a pixel's point its neighbourhood leaves open, 0 to 1.

  Source: McGuire et al. 2011, "The Alchemy screen-space ambient obscurance algorithm".
  """
  height, width, _ = surface_HWA.shape
  px, py, pz = surface_HWA[y, x, 0], surface_HWA[y, x, 1], surface_HWA[y, x, 2]
  nx, ny, nz = surface_HWA[y, x, 3], surface_HWA[y, x, 4], surface_HWA[y, x, 5]
  hidden = np.float32(0.0)
  farthest = np.float32(1.0) / (np.float32(4.0) * radius_m * radius_m)
  for i in range(offsets_N2.shape[0]):
    sx = int(x + offsets_N2[i, 0] * reach_px + np.float32(0.5))
    sy = int(y + offsets_N2[i, 1] * reach_px + np.float32(0.5))
    if sx < 0 or sy < 0 or sx >= width or sy >= height:
      continue
    if surface_HWA[sy, sx, 8] == 0.0:
      continue
    dx, dy = surface_HWA[sy, sx, 0] - px, surface_HWA[sy, sx, 1] - py
    dz = surface_HWA[sy, sx, 2] - pz
    above = dx * nx + dy * ny + dz * nz - np.float32(0.0002)
    if above > 0.0:
      square = dx * dx + dy * dy + dz * dz
      fade = np.float32(1.0) - square * farthest
      if fade > 0.0:
        hidden += fade * above / np.sqrt(square)
  share = np.float32(1.0) - np.float32(2.2) * hidden / offsets_N2.shape[0]
  return max(share, np.float32(0.08))


@_jit
def open_sky(surface_HWA, offsets_N2, reach, sky_HW2):
  """`open_sky_share` at every second pixel of every second row, and the distance there.

  Args:
    surface_HWA: as `resolve` wrote it.
    offsets_N2: float32[N, 2], the disc that is sampled.
    reach: float32[2], that disc's radius on the screen in pixels, and in metres.
    sky_HW2: float32[ceil(H / 2), ceil(W / 2), 2], overwritten: share, camera-space z;
      z is 1 where nothing is.
  """
  for y in range(sky_HW2.shape[0]):
    for x in range(sky_HW2.shape[1]):
      if surface_HWA[2 * y, 2 * x, 8] == 0.0:
        sky_HW2[y, x, 1] = 1.0
        continue
      sky_HW2[y, x, 0] = open_sky_share(
        surface_HWA, 2 * y, 2 * x, reach[0], offsets_N2, reach[1]
      )
      sky_HW2[y, x, 1] = surface_HWA[2 * y, 2 * x, 2]


@_jit
def _sky_at(sky_HW2, y, x, z):
  """The open sky of a pixel from its up to four neighbours of about its distance.

  Returns a negative number where there is none.
  """
  top, left = y // 2, x // 2
  bottom = min(top + (y & 1), sky_HW2.shape[0] - 1)
  right = min(left + (x & 1), sky_HW2.shape[1] - 1)
  total = weights = np.float32(0.0)
  for j in (top, bottom):
    for i in (left, right):
      apart = abs(sky_HW2[j, i, 1] - z)
      if apart < np.float32(0.006):
        weight = np.float32(0.0005) + np.float32(0.006) - apart
        total += weight * sky_HW2[j, i, 0]
        weights += weight
  return total / weights if weights > 0.0 else np.float32(-1.0)


@_jit
def lit_share(shadow_HW, x, y, closeness, bias):
  """Share of a soft 7 x 7 patch of the shadow map that leaves the point lit, 0 to 1.

  Where the patch's middle and corners agree, which is nearly everywhere, so does it.
  """
  height, width = shadow_HW.shape
  left, top = int(np.floor(x)) - 3, int(np.floor(y)) - 3
  if left < 0 or top < 0 or left + 7 >= width or top + 7 >= height:
    return np.float32(1.0)
  limit = closeness + bias
  agree = 0
  for j in (0, 3, 7):
    for i in (0, 3, 7):
      agree += 1 if shadow_HW[top + j, left + i] <= limit else 0
  if agree == 0 or agree == 9:
    return np.float32(0.0) if agree == 0 else np.float32(1.0)
  fx, fy = x - np.floor(x), y - np.floor(y)
  zero, one, sharp = np.float32(0.0), np.float32(1.0), np.float32(1.0 / 16.0)
  lit = total = zero
  for j in range(8):
    dy = np.float32(j) - np.float32(3.0) - fy
    wy = max(one - dy * dy * sharp, zero)
    for i in range(8):
      dx = np.float32(i) - np.float32(3.0) - fx
      weight = wy * max(one - dx * dx * sharp, zero)
      total += weight
      if shadow_HW[top + j, left + i] <= limit:
        lit += weight
  return lit / total


@_jit
def shade(
  surface_HWA, sky_HW2, shadow_HW, to_shadow_34, lights_L6, offsets_N2, reach, out_HW3
):
  """Lights the surface points and writes sRGB bytes over white.

  Args:
    surface_HWA: float32[H, W, 9] as `resolve` wrote it.
    sky_HW2: as `open_sky` wrote it.
    shadow_HW: float32[S, S], closeness to the first light.
    to_shadow_34: float32[3, 4], camera space to shadow map x, y, closeness (metres).
    lights_L6: float32[L, 6]: unit direction to the light, strength, wrap, specular;
      only the first light casts shadows.
    offsets_N2: float32[N, 2], the disc that ambient occlusion samples.
    reach: float32[2], that disc's radius on the screen in pixels, and in metres.
    out_HW3: uint8[H, W, 3], overwritten.
  """
  height, width, _ = surface_HWA.shape
  gamma = (255.0 * np.linspace(0.0, 1.0, 4096) ** (1.0 / 2.2) + 0.5).astype(np.uint8)
  matrix = to_shadow_34
  one = np.float32(1.0)
  for y in range(height):
    for x in range(width):
      coverage = surface_HWA[y, x, 8]
      if coverage == 0.0:
        out_HW3[y, x, :] = 255
        continue
      px, py, pz = surface_HWA[y, x, 0], surface_HWA[y, x, 1], surface_HWA[y, x, 2]
      nx, ny, nz = surface_HWA[y, x, 3], surface_HWA[y, x, 4], surface_HWA[y, x, 5]
      inverse = one / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
      nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
      inverse = -one / np.sqrt(px * px + py * py + pz * pz)
      vx, vy, vz = px * inverse, py * inverse, pz * inverse
      sky = _sky_at(sky_HW2, y, x, pz)
      if sky < 0.0:
        sky = open_sky_share(surface_HWA, y, x, reach[0], offsets_N2, reach[1])
      # Looked up a little off the surface, or it would shadow itself.
      qx, qy, qz = px + LIFT_M * nx, py + LIFT_M * ny, pz + LIFT_M * nz
      u = matrix[0, 0] * qx + matrix[0, 1] * qy + matrix[0, 2] * qz + matrix[0, 3]
      v = matrix[1, 0] * qx + matrix[1, 1] * qy + matrix[1, 2] * qz + matrix[1, 3]
      w = matrix[2, 0] * qx + matrix[2, 1] * qy + matrix[2, 2] * qz + matrix[2, 3]
      lit = lit_share(shadow_HW, u, v, w, LIFT_M)
      gloss = surface_HWA[y, x, 7]
      power = np.float32(18.0) + np.float32(160.0) * gloss
      diffuse = (np.float32(0.24) + np.float32(0.10) * ny) * sky
      specular = np.float32(0.0)
      for i in range(lights_L6.shape[0]):
        lx, ly, lz = lights_L6[i, 0], lights_L6[i, 1], lights_L6[i, 2]
        wrap = lights_L6[i, 4]
        cosine = (nx * lx + ny * ly + nz * lz + wrap) / (one + wrap)
        if cosine <= 0.0:
          continue
        strength = lights_L6[i, 3] * (lit if i == 0 else sky)
        diffuse += strength * cosine * (np.float32(0.3) + np.float32(0.7) * sky)
        if lights_L6[i, 5] > 0.0:
          hx, hy, hz = lx + vx, ly + vy, lz + vz
          half = one / np.sqrt(hx * hx + hy * hy + hz * hz)
          aligned = max((nx * hx + ny * hy + nz * hz) * half, np.float32(0.0))
          if aligned > np.float32(0.75):  # below it the power is as good as zero
            specular += strength * lights_L6[i, 5] * gloss * aligned**power
      value = surface_HWA[y, x, 6] * diffuse + specular * sky
      value = one - np.exp(np.float32(-1.35) * value)  # a soft shoulder, no clipping
      value = coverage * value + (one - coverage)
      out_HW3[y, x, :] = gamma[int(np.float32(4095.0) * value)]

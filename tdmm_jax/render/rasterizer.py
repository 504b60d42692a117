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
def fill_depth(screen_V3, faces_F3, depth_HW, triangle_HW, weights_HW2):
  """Draws triangles into a z-buffer: the nearest one wins each sample.

  Args:
    screen_V3: float32[V, 3]; x, y in samples from the top left, and a closeness that is
      larger nearer to the viewer (and linear on the screen, such as 1 / distance).
    faces_F3: int32[F, 3].
    depth_HW: float32[H, W], overwritten: the closeness, -1e30 where nothing is.
    triangle_HW: int32[H, W], overwritten: the face seen, -1 where nothing is.
    weights_HW2: float32[H, W, 2], overwritten where a face is seen: barycentric weights
      of the face's second and third corner.
  """
  height, width = depth_HW.shape
  half = np.float32(0.5)
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
    left = max(int(np.ceil(min(ax, bx, cx) - half)), 0)
    right = min(int(np.floor(max(ax, bx, cx) - half)), width - 1)
    top = max(int(np.ceil(min(ay, by, cy) - half)), 0)
    bottom = min(int(np.floor(max(ay, by, cy) - half)), height - 1)
    inverse = np.float32(1.0) / area
    step_b, step_c = (cy - ay) * inverse, -(by - ay) * inverse  # along a row
    for y in range(top, bottom + 1):
      dy, dx = np.float32(y) + half - ay, np.float32(left) + half - ax
      wb = (dx * (cy - ay) - dy * (cx - ax)) * inverse
      wc = (dy * (bx - ax) - dx * (by - ay)) * inverse
      for x in range(left, right + 1):
        if wb >= 0.0 and wc >= 0.0 and wb + wc <= 1.0:
          z = az + wb * (bz - az) + wc * (cz - az)
          if z > depth_HW[y, x]:
            depth_HW[y, x] = z
            triangle_HW[y, x] = f
            weights_HW2[y, x, 0] = wb
            weights_HW2[y, x, 1] = wc
        wb += step_b
        wc += step_c


@_jit
def resolve(triangle_HW, weights_HW2, faces_F3, attributes_VA, surface_HWA):
  """Averages what the samples of a pixel see into one surface point per pixel.

  Args:
    triangle_HW, weights_HW2: as `fill_depth` wrote them, SUPERSAMPLE times as large.
    faces_F3: int32[F, 3].
    attributes_VA: float32[V, 8]: camera-space position, normal, albedo, gloss.
    surface_HWA: float32[H, W, 9], overwritten: the attributes' mean over the samples
      hit, and the share of samples hit. The normal of a face seen from behind points
      at the viewer, and its albedo is dark: it is the inside of an open mesh.
  """
  height, width, _ = surface_HWA.shape
  total = np.empty(8, np.float32)
  for py in range(height):
    for px in range(width):
      hits = 0
      total[:] = 0.0
      for s in range(SUPERSAMPLE * SUPERSAMPLE):
        y, x = py * SUPERSAMPLE + s // SUPERSAMPLE, px * SUPERSAMPLE + s % SUPERSAMPLE
        f = triangle_HW[y, x]
        if f < 0:
          continue
        hits += 1
        a, b, c = faces_F3[f, 0], faces_F3[f, 1], faces_F3[f, 2]
        wb, wc = weights_HW2[y, x, 0], weights_HW2[y, x, 1]
        wa = np.float32(1.0) - wb - wc
        ax, ay, az = attributes_VA[a, 0], attributes_VA[a, 1], attributes_VA[a, 2]
        ux, uy = attributes_VA[b, 0] - ax, attributes_VA[b, 1] - ay
        uz = attributes_VA[b, 2] - az
        vx, vy = attributes_VA[c, 0] - ax, attributes_VA[c, 1] - ay
        vz = attributes_VA[c, 2] - az
        towards = -ax * (uy * vz - uz * vy) - ay * (uz * vx - ux * vz)
        towards += -az * (ux * vy - uy * vx)
        for k in range(8):
          value = wa * attributes_VA[a, k]
          value += wb * attributes_VA[b, k] + wc * attributes_VA[c, k]
          if towards < 0.0 and k >= 3:
            value = -value if k < 6 else np.float32(0.12) * value
          total[k] += value
      if hits > 0:
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
def lit_share(shadow_HW, x, y, closeness, bias):
  """Share of a soft 3 x 3 patch of the shadow map that leaves the point lit, 0 to 1."""
  height, width = shadow_HW.shape
  left, top = int(np.floor(x - 1.0)), int(np.floor(y - 1.0))
  fx, fy = x - np.float32(1.0) - left, y - np.float32(1.0) - top
  lit = np.float32(0.0)
  for j in range(3):
    wy = np.float32(1.0) if j == 1 else (np.float32(1.0) - fy if j == 0 else fy)
    for i in range(3):
      wx = np.float32(1.0) if i == 1 else (np.float32(1.0) - fx if i == 0 else fx)
      sx, sy = left + i, top + j
      outside = sx < 0 or sy < 0 or sx >= width or sy >= height
      if outside or shadow_HW[sy, sx] <= closeness + bias:
        lit += wx * wy
  return lit * np.float32(0.25)


@_jit
def shade(surface_HWA, shadow_HW, to_shadow_34, lights_L6, offsets_N2, reach, out_HW3):
  """Lights the surface points and writes sRGB bytes over white.

  Args:
    surface_HWA: float32[H, W, 9] as `resolve` wrote it.
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
          specular += strength * lights_L6[i, 5] * gloss * aligned**power
      value = surface_HWA[y, x, 6] * diffuse + specular * sky
      value = one - np.exp(np.float32(-1.35) * value)  # a soft shoulder, no clipping
      value = coverage * value + (one - coverage)
      out_HW3[y, x, :] = gamma[int(np.float32(4095.0) * value)]

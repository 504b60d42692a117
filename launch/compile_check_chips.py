"""Each TPU chip's published figures, and the time that a step cannot beat on it.

Sources, read November 2026: cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e, /tpu7x
("key chip specifications"). Interconnect figures there are bits per second one way,
summed over a chip's links; that of tpu7x, 1,200 GB/s, is both ways. `usable_gib` is
what the compiler grants a program ("available HBM").
"""

import dataclasses

GB, GIB, TERA = 1e9, 2**30, 1e12


@dataclasses.dataclass(frozen=True)
class Chip:
  """One chip, or what of it is one device of JAX; bandwidths in bytes/s."""

  peak_flops: float  # bfloat16
  hbm_gib: float
  usable_gib: float
  hbm_bandwidth: float
  ici_bandwidth: float  # one way, all links together
  torus_dims: int


CHIPS = {
  "v4": Chip(275 * TERA, 32, 30.75, 1200 * GB, 2400 / 8 * GB, 3),
  "v5e": Chip(197 * TERA, 16, 15.75, 819 * GB, 1600 / 8 * GB, 2),
  "v5p": Chip(459 * TERA, 95, 95.74, 2765 * GB, 4800 / 8 * GB, 3),
  "v6e": Chip(918 * TERA, 32, 31.25, 1600 * GB, 3200 / 8 * GB, 2),
  # Half of a chip: its two cores are a device each, with memory of their own.
  "tpu7x": Chip(2307 / 2 * TERA, 192 / 2, 94.75, 7380 / 2 * GB, 600 / 2 * GB, 3),
}


def ring_bandwidth(chip: Chip, shape: tuple[int, ...], coords: list) -> float:
  """Bytes/s with which a chip sends in rings over a group of chips.

  Only the links along the torus' dimensions that the group spans carry anything: two
  where the dimension is a ring, one where it is a line. A dimension is a ring at 16
  chips on a 2D torus, and at multiples of 4 on a 3D torus.

  Args:
    shape: chips along each dimension of the slice.
    coords: the group's chips.
  """
  link = chip.ici_bandwidth / (2 * chip.torus_dims)
  links = 0
  for dim, size in enumerate(shape):
    if len({c[dim] for c in coords}) > 1:
      ring = size % 4 == 0 if chip.torus_dims == 3 else size == 16
      links += 2 if ring else 1
  return link * max(links, 1)

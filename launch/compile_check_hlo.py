"""Collectives of a compiled program: how often each runs, what it moves.

Reads the optimised HLO text. A loop's body counts as often as the loop runs, which
`cost_analysis()` does not do. Bytes are those a chip sends in the usual ring algorithms
over a group of g chips: (g - 1) / g of the whole array for all-gather, reduce-scatter
and all-to-all, twice that for all-reduce, the array itself for collective-permute.
"""

import math
import re
from typing import NamedTuple

import numpy as np

KINDS = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)

_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64}
_ARRAY = re.compile(r"\b([a-z]+[0-9]*)\[([0-9,]*)\]")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OP = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\(")
_CALLED = re.compile(r"(?:calls|to_apply|body)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


class Collective(NamedTuple):
  """One collective instruction of the program."""

  kind: str
  runs: int  # in one step, loops included
  bytes_sent: float  # by one chip in one run
  group: tuple[int, ...]  # one of its groups, as indices into the mesh's devices


def array_bytes(shape: str) -> list[float]:
  """Sizes of the arrays in an HLO type, tuples taken apart."""
  sizes = []
  for dtype, dims in _ARRAY.findall(shape):
    bits = _BITS.get(dtype) or int(re.search(r"\d+", dtype)[0])
    sizes.append(math.prod(int(d) for d in dims.split(",") if d) * bits / 8)
  return sizes


def collectives(text: str) -> list[Collective]:
  """All collectives that a program runs.

  Args:
    text: `compiled.as_text()`.
  """
  bodies, entry = _computations(text)
  found: dict[tuple, Collective] = {}

  def visit(name: str, runs: int, loop: str, scatters: bool) -> None:
    for index, line in enumerate(bodies[name]):
      op = _OP.match(line)
      if not op:
        continue
      result, shape, kind = op.groups()
      base = kind.removesuffix("-start")
      if base in KINDS:
        if base == "all-reduce" and scatters:
          base = "reduce-scatter"
        channel = re.search(r"channel_id=(\d+)", line)
        # A collective that is spread over several fusions is one: it has one channel.
        key = (loop, channel[1] if channel else (name, index))
        found.setdefault(key, _collective(base, kind, runs, shape, line))
      elif kind == "while":
        condition = re.search(r"condition=%?([\w.\-]+)", line)[1]
        body = _CALLED.search(line)[1]
        visit(body, runs * _trips(line, bodies[condition]), body, False)
      else:
        # A fused all-reduce and slice: each chip keeps its share of the sum.
        scatters_inside = scatters or "reduce-scatter" in result
        branches = _BRANCHES.search(line)
        called = branches[1].replace("%", "").split(", ") if branches else []
        called += _CALLED.findall(line)
        for callee in called:
          if callee in bodies:
            visit(callee, runs, loop, scatters_inside or "reduce-scatter" in callee)

  visit(entry, 1, "", False)
  return [c for c in found.values() if len(c.group) > 1]


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
  """(lines of each computation, name of the entry)."""
  bodies: dict[str, list[str]] = {}
  entry, current = "", None
  for line in text.splitlines():
    header = _HEADER.match(line)
    if header:
      current = bodies.setdefault(header[2], [])
      entry = header[2] if header[1] else entry
    elif line.startswith("}"):
      current = None
    elif current is not None:
      current.append(line)
  return bodies, entry


def _trips(line: str, condition: list[str]) -> int:
  """How often a loop runs: as the compiler knows, or as its condition compares."""
  known = re.search(r"known_trip_count[^0-9]*(\d+)", line)
  if known:
    return int(known[1])
  constants = {}
  for other in condition:
    constant = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = .*? constant\((\d+)\)", other)
    if constant:
      constants[constant[1]] = int(constant[2])
  root = next((other for other in condition if "ROOT" in other), "")
  compared = re.search(r"\(([^)]*)\)", root.split(" = ", 1)[-1].split("compare", 1)[-1])
  names = re.findall(r"%?([\w.\-]+)", compared[1]) if compared else []
  values = [constants[n] for n in names if n in constants] or list(constants.values())
  if len(values) != 1:
    raise ValueError(f"cannot tell how often this loop runs: {line.strip()[:200]}")
  return values[0]


def _collective(kind, op, runs, shape, line) -> Collective:
  group = _group(line)
  sizes = array_bytes(shape)
  if op.endswith("-start") and kind == "all-reduce":
    size = sum(sizes)
  elif op.endswith("-start"):  # a tuple of operand, result, and flags
    size = max(sizes)
  else:
    size = sum(sizes)
    # The result is a share of what went in.
    size = size * len(group) if kind == op == "reduce-scatter" else size
  share = (len(group) - 1) / len(group)
  factor = {"all-reduce": 2 * share, "collective-permute": 1.0}.get(kind, share)
  return Collective(kind, runs, size * factor, group)


def _group(line: str) -> tuple[int, ...]:
  """One group of devices that take part together."""
  pairs = re.search(r"source_target_pairs=\{\{(\d+),(\d+)\}", line)
  if pairs:
    return (int(pairs[1]), int(pairs[2]))
  listed = re.search(r"replica_groups=\{\{([0-9,]+)\}", line)
  if listed:
    return tuple(int(i) for i in listed[1].split(","))
  iota = re.search(
    r"replica_groups=\[(\d+),(\d+)\]<=\[([0-9,]+)\](?:T\(([0-9,]+)\))?", line
  )
  if iota:
    dims = [int(d) for d in iota[3].split(",")]
    ids = np.arange(math.prod(dims)).reshape(dims)
    if iota[4]:
      ids = ids.transpose([int(d) for d in iota[4].split(",")])
    return tuple(ids.reshape(int(iota[1]), int(iota[2]))[0].tolist())
  named = re.search(
    r"replica_groups=mesh\[([^\]]*)\]"  # the axes and their sizes
    r"(?:,? *device_ids=\(\[([0-9,]+)\](?:T\(([0-9,]+)\))?\))?"  # an order not 0, 1, 2
    r"\s*(?:\([^)]*\)\s*)?\{([^}]*)\}",
    line,
  )
  if named:
    axes = re.findall(r"'([^']*)'=(\d+)", named[1])
    sizes = [int(n) for _, n in axes]
    ids = np.arange(math.prod(sizes))
    if named[2]:
      ids = ids.reshape([int(d) for d in named[2].split(",")])
    if named[3]:
      ids = ids.transpose([int(d) for d in named[3].split(",")])
    ids = ids.reshape(sizes)
    wanted = re.findall(r"'([^']*)'", named[4])
    first = tuple(slice(None) if name in wanted else 0 for name, _ in axes)
    return tuple(ids[first].reshape(-1).tolist())
  raise ValueError(f"cannot tell which devices take part: {line.strip()[:200]}")

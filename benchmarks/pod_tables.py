"""Compiles every size for every TPU slice, and writes the tables of the docs.

  make compiler
  python -m benchmarks.pod_tables               # what is not in the JSON file yet
  python -m benchmarks.pod_tables --only weak --redo
  python -m benchmarks.pod_tables --write       # the tables from the JSON file alone

Each cell is one run of launch.compile_check, in a process of its own, one after the
other; benchmarks/pod_tables.json is written after each. The tables are between marks in
docs/performance.md.
"""

import argparse
import importlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from launch import compile_check_chips as chips
from launch import compile_check_model as counts
from launch import compile_check_programs as programs
from tdmm_jax import files

REPO = pathlib.Path(__file__).parents[1]
RESULTS = REPO / "benchmarks" / "pod_tables.json"
DOCS = REPO / "docs" / "performance.md"

SIZES = ("small", "base", "large", "xl", "xxl")
NUM_CODES = 1_000  # as compile_check's default
SLICES = ("v4:2x2x4", "v5e:16x16", "v5p:4x4x4", "v6e:16x16")
IRONWOOD = "tpu7x:4x4x4"  # two devices a chip: a row is of one of them
WEAK = {
  "base": ("v5e:2x4", "v5e:8x8", "v5e:16x16"),
  "xl": ("v5p:2x2x2", "v5p:4x4x4", "v5p:4x8x8"),
}


class Cell(NamedTuple):
  """One run of compile_check."""

  table: str
  config: str
  topology: str
  flags: tuple[str, ...] = ()

  @property
  def key(self) -> str:
    return " ".join((self.config, self.topology, *self.flags))


def cells() -> list[Cell]:
  found = [Cell("train", f"lm_{s}", where) for where in SLICES for s in SIZES]
  found.append(Cell("train", "lm_small", IRONWOOD))
  found += [Cell("weak", f"lm_{s}", where) for s, row in WEAK.items() for where in row]
  found += DECODE
  return found + [Cell("tokenizer", "tokenizer_base", where) for where in TOKENIZER]


def _decode(size: str, topology: str, tensor: int, batch: int) -> Cell:
  """Weights split over `tensor` chips, copied over the others: none is gathered."""
  mesh = ("--config.mesh.data=-1", "--config.mesh.fsdp=1")
  mesh += (f"--config.mesh.tensor={tensor}", f"--config.batch_per_chip={batch}")
  return Cell("decode", f"lm_{size}", topology, ("--step=decode", *mesh))


DECODE = [
  _decode("small", "v5e:2x2", 1, 64),
  _decode("base", "v5e:2x2", 1, 64),
  _decode("large", "v5e:2x2", 1, 32),
  _decode("xl", "v5e:2x4", 8, 8),
  _decode("xxl", "v5e:2x4", 8, 4),
]
TOKENIZER = ("v5e:2x4", "v5e:16x16")


def run(cell: Cell) -> dict:
  """The cell's report; where the compiler refuses, {"error": what it said}."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "report.json"
    words = [sys.executable, "-m", "launch.compile_check"]
    words += [f"--config=configs/{cell.config}.py", f"--topology={cell.topology}"]
    words += [*cell.flags, f"--json={path}"]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
    if done.returncode:
      lines = done.stderr.strip().splitlines() or ["it said nothing"]
      return {"error": lines[-1][-300:]}
    return json.loads(path.read_text())


# ------------------------------------------------------------------ tables


def _ms(report: dict, key: str) -> str:
  return f"{report[key] * 1e3:.1f}"


def _row_of_train(report: dict) -> list[str]:
  hbm = f"{report['hbm_gib']:.1f} of {report['hbm_limit_gib']:g}"
  return [
    hbm if report["fits"] else f"**{hbm}**",
    *(_ms(report, f"{kind}_seconds") for kind in ("compute", "hbm", "ici")),
    f"{report['step_seconds_bound'] * 1e3:.1f} ({report['bound_by']})",
    _ms(report, "step_seconds_no_overlap"),
    f"{report['mfu_bound']:.2f}",
    str(report["involuntary_rematerializations"]),
  ]


_TRAIN_HEADER = ["GiB a chip", "compute, ms", "HBM, ms", "links, ms", "step bound, ms"]
_TRAIN_HEADER += ["without overlap, ms", "MFU bound", "copies"]


def _line(values) -> str:
  return f"| {' | '.join(map(str, values))} |"


def _table(header: list[str], rows: list[list]) -> str:
  if not rows:
    return ""
  return "\n".join(map(_line, [header, ["---"] * len(header), *rows]))


def _of(results: dict, table: str):
  """(cell, its report) of a table; cells that are not measured are left out."""
  return [(c, results[c.key]) for c in cells() if c.table == table and c.key in results]


def _bad(cell: Cell, report: dict, width: int) -> list[str] | None:
  """A row for what did not compile, or did not fit while being compiled."""
  first = [cell.config, cell.topology]
  if "error" in report:
    return [*first, report["error"], *[""] * (width - 3)]
  if "step_seconds_bound" not in report and cell.config.startswith("lm"):
    return [*first, f"does not fit: {report['hbm_gib']:.1f} GiB", *[""] * (width - 3)]
  return None


def train_table(results: dict) -> str:
  header = ["config", "slice", *_TRAIN_HEADER]
  rows = [
    _bad(cell, report, len(header))
    or [cell.config, cell.topology, *_row_of_train(report)]
    for cell, report in _of(results, "train")
  ]
  return _table(header, rows)


def attention_table(results: dict) -> str:
  """Counted, not compiled: what attention does to compute and memory on a v6e chip."""
  del results
  header = ["config", "attention", "compute, ms", "HBM, ms", "MFU of these two alone"]
  rows, chip = [], chips.CHIPS["v6e"]
  for size in SIZES:
    config = importlib.import_module(f"configs.lm_{size}").get_config()
    table_size = programs.planned_vocab(config, NUM_CODES).table_size
    for fused in (False, True):
      config.model.fused_attention = fused
      work, batch = counts.train_work(config, table_size), config.batch_per_chip
      compute = batch * work.computed_flops / chip.peak_flops
      moved = batch * work.activation_bytes + work.weight_bytes
      hbm = moved / chip.hbm_bandwidth
      mfu = batch * work.model_flops / chip.peak_flops / max(compute, hbm)
      how = "fused" if fused else "written out"
      values = [f"{compute * 1e3:.1f}", f"{hbm * 1e3:.1f}", f"{mfu:.2f}"]
      rows.append([f"lm_{size}", how, *values])
  return _table(header, rows)


def weak_table(results: dict) -> str:
  header = ["config", "slice", "chips", "tokens/s a chip", "efficiency bound"]
  header += ["without overlap", "GiB a chip"]
  rows, first = [], {}
  for cell, report in _of(results, "weak"):
    bad = _bad(cell, report, len(header))
    if bad:
      rows.append(bad)
      continue
    start = first.setdefault(cell.config, report)
    ratio = lambda key, a=start, b=report: f"{a[key] / b[key]:.3f}"
    rows.append(
      [cell.config, cell.topology, report["chips"]]
      + [f"{report['tokens_per_second_bound']:,.0f}", ratio("step_seconds_bound")]
      + [ratio("step_seconds_no_overlap"), f"{report['hbm_gib']:.1f}"]
    )
  return _table(header, rows)


def decode_table(results: dict) -> str:
  header = ["config", "slice", "weights over", "sequences a chip", "GiB a chip"]
  header += ["HBM, ms", "links, ms", "step bound, ms", "tokens/s a chip"]
  rows = []
  for cell, report in _of(results, "decode"):
    rows.append(
      _bad(cell, report, len(header))
      or [
        cell.config,
        cell.topology,
        report["mesh"]["tensor"],
        f"{report['batch_per_chip']:g}",
        f"{report['hbm_gib']:.2f} of {report['hbm_limit_gib']:g}",
        f"{report['hbm_seconds'] * 1e3:.2f}",
        f"{report['ici_seconds'] * 1e3:.2f}",
        f"{report['step_seconds_bound'] * 1e3:.2f} ({report['bound_by']})",
        f"{report['tokens_per_second_bound']:,.0f}",
      ]
    )
  return _table(header, rows)


def tokenizer_table(results: dict) -> str:
  header = ["config", "slice", "windows a chip", *_TRAIN_HEADER]
  rows = [
    _bad(cell, report, len(header))
    or [
      cell.config,
      cell.topology,
      f"{report['batch_per_chip']:g}",
      *_row_of_train(report),
    ]
    for cell, report in _of(results, "tokenizer")
  ]
  return _table(header, rows)


TABLES = {
  "train": train_table,
  "attention": attention_table,
  "weak": weak_table,
  "decode": decode_table,
  "tokenizer": tokenizer_table,
}


def _missing(results: dict, table: str) -> str:
  """A line that names what has not been compiled."""
  names = [
    f"{c.config} {c.topology}"
    for c in cells()
    if c.table == table and c.key not in results
  ]
  return f"\n\nNot compiled yet: {', '.join(names)}." if names else ""


def written(docs: str, results: dict) -> str:
  """The docs' text with its tables made anew."""
  for name, make in TABLES.items():
    mark = rf"(<!-- {name} table -->\n).*?(<!-- end -->)"
    if not re.search(mark, docs, re.S):
      raise ValueError(f"{DOCS}: has no mark <!-- {name} table --> ... <!-- end -->")
    table = make(results) + _missing(results, name)
    whole = f"\n{table.strip()}\n\n"
    docs = re.sub(mark, lambda m, whole=whole: m[1] + whole + m[2], docs, flags=re.S)
  return docs


def main() -> int:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    "--only",
    choices=sorted({c.table for c in cells()}),
    help="this table's cells alone",
  )
  parser.add_argument("--redo", action="store_true", help="also what was compiled")
  parser.add_argument("--write", action="store_true", help="compile nothing")
  args = parser.parse_args()
  results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
  done = set() if args.redo else set(results)
  for cell in cells() if not args.write else []:
    unwanted = args.only not in (None, cell.table)
    if unwanted or cell.key in done:  # tables share cells
      continue
    done.add(cell.key)
    start = time.monotonic()
    results[cell.key] = run(cell) | {
      "compile_check_seconds": round(time.monotonic() - start)
    }
    files.write_json(RESULTS, results)
    report = results[cell.key]
    words = {k: report[k] for k in ("error", "fits", "mfu_bound") if k in report}
    print(f"{cell.key}: {words}, {report['compile_check_seconds']} s", flush=True)
  DOCS.write_text(written(DOCS.read_text(), results))
  return 0


if __name__ == "__main__":
  sys.exit(main())

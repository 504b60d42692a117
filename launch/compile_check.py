r"""Compiles a config's step for a TPU slice, without the slice, and prints its cost.

  make compiler
  python -m launch.compile_check --config configs/lm_xl.py --topology v5e:16x16
  python -m launch.compile_check --config configs/lm_xl.py --topology v5p:4x4x4 --search
  python -m launch.compile_check --config configs/lm_base.py --topology v5e:4x4 \
      --step decode --json decode.json --config.batch_per_chip=32

The config's mesh and batch per chip are used; docs/performance.md defines every number.
"""

import os
import pathlib
import re
import sys
import tempfile

_REPO = pathlib.Path(__file__).resolve().parents[1]


def _prepare_environment() -> None:
  """Call before JAX is imported: uses the compiler, looks for no TPU."""
  library = _REPO / ".libtpu" / "libtpu" / "libtpu.so"
  if library.exists():
    os.environ.setdefault("TPU_LIBRARY_PATH", str(library))
  os.environ["JAX_PLATFORMS"] = "cpu"
  os.environ["TPU_SKIP_MDS_QUERY"] = "1"
  os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # compiling needs no device for itself
  os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  os.environ.setdefault("TPU_WORKER_ID", "0")
  # The compiler's warnings go to stderr, where `_CompilerLog` reads them.
  os.environ["TPU_MIN_LOG_LEVEL"] = os.environ["TPU_STDERR_LOG_LEVEL"] = "0"


_prepare_environment()

import jax
import ml_collections
import numpy as np
from absl import app, flags
from jax.experimental import topologies
from ml_collections import config_flags

from launch import compile_check_chips as chips
from launch import compile_check_hlo as hlo
from launch import compile_check_model as counts
from launch import compile_check_programs as programs
from tdmm_jax import errors, files, sharding
from tdmm_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.")
_TOPOLOGY = flags.DEFINE_string(
  "topology", "v5e:16x16", "v4, v5e, v5p, v6e or tpu7x, and shape."
)
_STEP = flags.DEFINE_enum("step", "train", ["train", "decode"], "What to compile.")
_JSON = flags.DEFINE_string("json", None, "Also write the numbers to this file.")
_SEARCH = flags.DEFINE_bool("search", False, "Try every mesh; print the best first.")
_CODES = flags.DEFINE_integer("num_codes", 1_000, "Motion tokens in the vocabulary.")


class _CompilerLog:
  """Collects what C++ writes to stderr; shows it if the work fails unexpectedly."""

  def __enter__(self):
    sys.stderr.flush()
    self._saved, self._file = os.dup(2), tempfile.TemporaryFile()
    os.dup2(self._file.fileno(), 2)
    return self

  def __exit__(self, kind, error, traceback):
    os.dup2(self._saved, 2)
    os.close(self._saved)
    self._file.seek(0)
    self.text = self._file.read().decode(errors="replace")
    self._file.close()
    if kind and not issubclass(kind, UserError):
      sys.stderr.write(self.text[-3000:])


def devices_of(topology: str):
  """(chip, devices) of a topology such as "v5e:16x16".

  Raises:
    UserError: unknown, or no compiler here.
  """
  kind, _, shape = topology.partition(":")
  if kind not in chips.CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", shape):
    known = ", ".join(chips.CHIPS)
    raise UserError(f"--topology {topology}: write CHIP:SHAPE, CHIP one of {known}")
  # Both cores of a v4 chip work as one device; other chips need not be told.
  megacore = {"chip_config_name": "megacore", "chips_per_host_bounds": (2, 2, 1)}
  try:
    description = topologies.get_topology_desc(
      topology, platform="tpu", **(megacore if kind == "v4" else {})
    )
  except Exception as error:  # jaxlib raises several kinds
    if "libtpu" in str(error) or "TPU_LIBRARY_PATH" in str(error):
      raise UserError("the TPU compiler is not here; run `make compiler`") from error
    reason = str(error).splitlines()[0]
    raise UserError(f"--topology {topology}: {reason}") from error
  return chips.CHIPS[kind], description.devices


def check(config, topology: str, step: str = "train", num_codes: int = 1_000) -> dict:
  """Compiles one step and returns its report; every number is of one chip.

  Raises:
    UserError: mesh, batch and topology do not fit together.
  """
  with _CompilerLog() as log:
    chip, devices = devices_of(topology)
    try:
      mesh = sharding.make_mesh(**config.mesh, devices=devices)
    except ValueError as error:
      raise UserError(f"config.mesh: {error}") from error
    lower = {
      "train": programs.lower_train_step,
      "decode": programs.lower_decode_step,
    }[step]
    lowered, params = lower(config, mesh, num_codes)
    compiled, gib = _compile(lowered)
  report = {
    "topology": topology,
    "chips": mesh.size,
    "mesh": dict(mesh.shape),
    "step": step,
    "batch_per_chip": programs.global_batch(config, mesh.size) / mesh.size,
    "parameters": sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params)),
    "hbm_limit_gib": chip.usable_gib,
    "hbm_published_gib": chip.hbm_gib,
    "involuntary_rematerializations": log.text.count(
      "Involuntary full rematerialization"
    ),
  }
  if compiled is None:
    return report | {"fits": False, "hbm_gib": gib}
  report |= _memory(compiled, chip)
  moved = _moved(report, chip, mesh, hlo.collectives(compiled.as_text()))
  if config.objective == "tokenizer":
    work = _tokenizer_work(config, report, compiled)
  else:
    work = _language_work(config, report, num_codes, mesh)
  return report | moved | _roofline(work, chip, moved["ici_seconds"])


def _compile(lowered):
  """(the compiled program, None), or (None, GiB it asked for) if memory runs out."""
  try:
    return lowered.compile(), None
  except jax.errors.JaxRuntimeError as error:
    needed = re.search(r"\((\d+\.\d+)([GM])\)|Used (\d+\.\d+)([GM])", str(error))
    if "RESOURCE_EXHAUSTED" not in str(error) or not needed:
      raise
    size, unit = needed[1] or needed[3], needed[2] or needed[4]
    return None, float(size) / (1 if unit == "G" else 1024)


def _memory(compiled, chip: chips.Chip) -> dict:
  stats = compiled.memory_analysis()
  gib = {
    "arguments_gib": stats.argument_size_in_bytes / chips.GIB,
    "output_gib": (stats.output_size_in_bytes - stats.alias_size_in_bytes) / chips.GIB,
    "temporaries_gib": stats.temp_size_in_bytes / chips.GIB,
    "code_gib": stats.generated_code_size_in_bytes / chips.GIB,
  }
  total = sum(gib.values())
  return gib | {"hbm_gib": total, "fits": total <= chip.usable_gib}


def _moved(report, chip, mesh, collectives) -> dict:
  """Runs and bytes of each kind of collective, and their time one after another."""
  table: dict[str, dict] = {}
  seconds = 0.0
  coords = [tuple(device.coords) for device in mesh.devices.flat]
  shape = tuple(int(n) for n in report["topology"].partition(":")[2].split("x"))
  for c in collectives:
    row = table.setdefault(c.kind, {"count": 0, "bytes": 0.0})
    row["count"] += c.runs
    row["bytes"] += c.runs * c.bytes_sent
    bandwidth = chips.ring_bandwidth(chip, shape, [coords[i] for i in c.group])
    seconds += c.runs * c.bytes_sent / bandwidth
  return {
    "collectives": table,
    "ici_bytes": sum(row["bytes"] for row in table.values()),
    "ici_seconds": seconds,
  }


def _language_work(config, report, num_codes, mesh) -> tuple[float, ...]:
  """(model FLOPs, computed FLOPs, HBM bytes, tokens) of a chip's step."""
  batch, tensor = report["batch_per_chip"], mesh.shape["tensor"]
  table_size = programs.planned_vocab(config, num_codes).table_size
  if report["step"] == "decode":
    flops, cache, weights = counts.decode_work(config, table_size)
    return batch * flops, batch * flops, weights / tensor + batch * cache, batch
  work = counts.train_work(config, table_size)
  stored = report["parameters"] * mesh.shape["data"] / mesh.size
  hbm = batch * work.activation_bytes + work.weight_bytes / tensor
  hbm += counts.update_bytes(config, stored)
  tokens = batch * (config.encoder_length + config.decoder_length)
  return batch * work.model_flops, batch * work.computed_flops, hbm, tokens


def _tokenizer_work(config, report, compiled) -> tuple[float, ...]:
  """The same as the compiler counts it: there is no loop that it would count once."""
  counted = compiled.cost_analysis()
  frames = report["batch_per_chip"] * config.window
  model_flops = 6.0 * report["parameters"] * frames
  return model_flops, counted["flops"], counted["bytes accessed"], frames


def _roofline(work: tuple[float, ...], chip: chips.Chip, ici_seconds: float) -> dict:
  """The times a step cannot beat, and what follows from them."""
  model_flops, computed, hbm, tokens = work
  seconds = {
    "compute_seconds": computed / chip.peak_flops,
    "hbm_seconds": hbm / chip.hbm_bandwidth,
    "ici_seconds": ici_seconds,
  }
  bound = max(seconds.values())
  return seconds | {
    "model_flops": model_flops,
    "computed_flops": computed,
    "hbm_bytes": hbm,
    "bound_by": max(seconds, key=seconds.get).removesuffix("_seconds"),
    "step_seconds_bound": bound,
    "step_seconds_no_overlap": sum(seconds.values()),
    "mfu_bound": model_flops / chip.peak_flops / bound,
    "tokens_per_second_bound": tokens / bound,
  }


def meshes(num_chips: int, num_heads: int) -> list[dict[str, int]]:
  """Meshes worth trying: powers of two, heads divisible by the tensor axis."""
  powers = [2**i for i in range(num_chips.bit_length()) if num_chips % 2**i == 0]
  return [
    {"data": num_chips // (fsdp * tensor), "fsdp": fsdp, "tensor": tensor}
    for tensor in powers[:4]
    for fsdp in powers
    if num_chips % (fsdp * tensor) == 0 and num_heads % tensor == 0
  ]


def search(config, topology: str, step: str, num_codes: int) -> list[dict]:
  """Reports of every mesh, the fastest that fits first."""
  _, devices = devices_of(topology)
  reports = []
  for sizes in meshes(len(devices), config.model.num_heads):
    tried = ml_collections.ConfigDict(config)
    tried.mesh.update(sizes)
    reports.append(check(tried, topology, step, num_codes))
    print(summary(reports[-1]), file=sys.stderr, flush=True)
  return sorted(
    reports, key=lambda r: (not r["fits"], r.get("step_seconds_no_overlap", 0.0))
  )


def summary(report: dict) -> str:
  """One line."""
  mesh = " ".join(f"{axis}={size}" for axis, size in report["mesh"].items())
  fits = "fits" if report["fits"] else "DOES NOT FIT"
  line = f"{mesh}: {report['hbm_gib']:.2f} of {report['hbm_limit_gib']} GiB, {fits}"
  if "mfu_bound" in report:
    line += (
      f"; step >= {report['step_seconds_bound'] * 1e3:.1f} ms ({report['bound_by']}), "
      f"MFU <= {report['mfu_bound']:.2f}"
    )
  return line


def describe(report: dict) -> str:
  """The report as text."""
  lines = [
    f"{report['step']} step on {report['topology']}, {report['chips']} chips, "
    f"{report['batch_per_chip']:g} examples a chip, "
    f"{report['parameters'] / 1e9:.3f}G parameters",
    summary(report),
  ]
  for key in ("arguments", "temporaries", "output", "code"):
    if f"{key}_gib" in report:
      lines.append(f"  HBM {key:<12} {report[f'{key}_gib']:9.3f} GiB")
  for kind, row in sorted(report.get("collectives", {}).items()):
    lines.append(
      f"  {kind:<18} {row['count']:>7} runs {row['bytes'] / 1e9:10.3f} GB sent"
    )
  if "mfu_bound" in report:
    lines += [
      f"  FLOPs: model {report['model_flops'] / 1e12:.3f} T, computed "
      f"{report['computed_flops'] / 1e12:.2f} T; HBM {report['hbm_bytes'] / 1e9:.2f}G",
      f"  compute {report['compute_seconds'] * 1e3:.2f} ms, HBM "
      f"{report['hbm_seconds'] * 1e3:.2f} ms, interconnect "
      f"{report['ici_seconds'] * 1e3:.2f} ms; without any overlap "
      f"{report['step_seconds_no_overlap'] * 1e3:.2f} ms",
      f"  tokens/s a chip <= {report['tokens_per_second_bound']:,.0f}",
    ]
  return "\n".join(lines)


@errors.entry_point("compile_check")
def main(argv) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  if _CONFIG.value is None:
    raise UserError("--config is needed; name one of configs/")
  arguments = (_CONFIG.value, _TOPOLOGY.value, _STEP.value, _CODES.value)
  reports = search(*arguments) if _SEARCH.value else [check(*arguments)]
  if _JSON.value:
    content = reports[0] | ({"tried": reports} if _SEARCH.value else {})
    files.write_json(_JSON.value, content)
  for report in reports:
    print(describe(report))


if __name__ == "__main__":
  app.run(main)

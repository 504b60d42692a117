"""This project against its peers, in one run: writes benchmarks/results.json.

  make bench                                   everything, about five minutes
  .venv/bin/python -m benchmarks.run --only face_forward face_backward

Ours and the peer take turns, on the same inputs, for `--rounds` rounds of `--seconds`
each; a result is the median of the rounds. Compilation (and a peer's first call) comes
before and is not counted; it stands in details.json, with every round, the machine and
the sizes. `limit` is what the machine allows at most, by a product of matrices and a
copy of memory measured at the start; null where neither is what stands in the way.

`--isa=AVX2` leaves both sides the instructions of most people's processors; its results
stand in results.json beside the others, under keys that end in "@AVX2".

On a machine that does other work beside it, `--clock=cpu` counts processor time, one
thread on each side: peers that wait for threads in loops lose far more than ours do.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from tdmm_jax import files, host

# Known before jax starts its threads and picks its instructions.
CPU_CLOCK, AVX2 = "--clock=cpu" in sys.argv, "--isa=AVX2" in sys.argv
if CPU_CLOCK:
  os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
  os.environ["OMP_NUM_THREADS"] = "1"  # the peers inherit it
else:
  host.one_device_a_core()  # as `make demo` does
if AVX2:
  os.environ["XLA_FLAGS"] += " --xla_cpu_max_isa=AVX2"
  # PyTorch's own kernels, and its products of matrices; the peers inherit these.
  os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

import jax
import numpy as np

from benchmarks import limits, ours

ROOT = pathlib.Path(__file__).parents[1]
SMPLX, TORCH = "smplx 0.1.28 lbs", "T2M-GPT VQ-VAE (PyTorch)"
T5, TFDS = "transformers 5.23 T5", "tensorflow-datasets as_data_source"
# Work -> (key of results.json, peer's work, peer's name). Keys that end in _ms are
# milliseconds a call, all others items a second.
KEYS = {
  "face_forward": ("face_forward_frames_per_s", "face_forward", SMPLX),
  "face_forward_fixed_identity": (
    "face_forward_fixed_identity_frames_per_s",
    "face_forward",  # it has no such case: it does all of the work each time
    SMPLX,
  ),
  "face_backward": ("face_backward_frames_per_s", "face_backward", SMPLX),
  "tokenizer_train": ("tokenizer_train_frames_per_s", "tokenizer_train", TORCH),
  "tokenizer_base_train": (
    "tokenizer_base_train_frames_per_s",
    "tokenizer_train",
    TORCH,
  ),
  "tokenizer_encode": ("tokenizer_encode_frames_per_s", "tokenizer_encode", TORCH),
  "lm_train": ("lm_train_tokens_per_s", "lm_train", T5),
  "lm_train_useful": ("lm_train_useful_tokens_per_s", "lm_train_useful", T5),
  "lm_generate_batch1": ("lm_generate_tokens_per_s_batch1", "lm_generate_batch1", T5),
  "lm_generate_batch16": (
    "lm_generate_tokens_per_s_batch16",
    "lm_generate_batch16",
    T5,
  ),
  "first_frame": ("first_frame_ms", None, None),
  "corpus_build": ("corpus_build_clips_per_s", None, None),
  "records_read": ("records_read_per_s", "records_read_tfds", TFDS),
}

SIZES = {
  "small": False,
  "vertices": 5_023,  # FLAME's
  "identity": 100,
  "expression": 50,
  "face_batch": 100,
  "vq_batch": 32,
  "vq_features": 263,  # T2M-GPT's, of a body
  "vq_width": 512,
  "vq_depth": 3,
  "vq_codes": 512,
  "lm_vocab": 2_560,
  "lm_dim": 256,
  "lm_heads": 4,
  "lm_mlp": 1_024,
  "lm_layers": 4,
  "lm_batch": 16,
  "lm_encoder": 48,
  "lm_decoder": 128,
  "packed_encoder": 192,
  "packed_decoder": 160,
  "packed_batch": 8,
  "mixed_examples": 256,
  "clips": 320,
}
SMALL = SIZES | {
  "small": True,
  "vertices": 60,
  "face_batch": 5,
  "vq_batch": 4,
  "vq_width": 16,
  "vq_codes": 8,
  "lm_vocab": 64,
  "lm_dim": 16,
  "lm_mlp": 32,
  "lm_layers": 1,
  "lm_batch": 2,
  "lm_decoder": 8,
  "packed_batch": 2,
  "mixed_examples": 32,
  "clips": 40,
}


def inputs(sizes: dict) -> dict[str, np.ndarray]:
  """What both sides are given: a head of FLAME's sizes, poses, motions, tokens."""
  rng = np.random.default_rng(0)
  V, S, E = sizes["vertices"], sizes["identity"], sizes["expression"]
  normal = lambda *shape, scale=1.0: (rng.normal(size=shape) * scale).astype(np.float32)
  weights, regressor = rng.random((V, 5)) ** 4, rng.random((5, V)) ** 8
  head = {
    "v_template": normal(V, 3, scale=0.1),
    "shapedirs": normal(V, 3, S, scale=1e-3),
    "exprdirs": normal(V, 3, E, scale=1e-3),
    "posedirs": normal(36, V, 3, scale=1e-3),
    "lbs_weights": (weights / weights.sum(1, keepdims=True)).astype(np.float32),
    "J_regressor": (regressor / regressor.sum(1, keepdims=True)).astype(np.float32),
  }
  both = np.concatenate([head["shapedirs"], head["exprdirs"]], axis=2)
  theirs = {**head, "shapedirs": both, "posedirs": head["posedirs"].reshape(36, -1)}
  del theirs["exprdirs"]
  batch, n = sizes["face_batch"], sizes["mixed_examples"]
  # Lengths of the demo's tasks: prompt to motion, and motion to caption, in turn.
  low, high = np.array([[25, 83], [95, 15]]), np.array([[60, 123], [140, 45]])
  task = np.arange(n) % 2
  return {
    **{f"our_{name}": array for name, array in head.items()},
    **{f"head_{name}": array for name, array in theirs.items()},
    "head_parents": np.array([-1, 0, 1, 1, 1]),
    "betas": normal(batch, S + E),
    "pose": normal(batch, 15, scale=0.3),
    "target": normal(batch, V, 3, scale=0.1),
    "t2m_motion": normal(4, sizes["vq_batch"], ours.WINDOW, sizes["vq_features"]),
    "lm_prompts": rng.integers(3, sizes["lm_vocab"], (16, sizes["lm_encoder"])),
    "mixed_lengths": rng.integers(low[task], high[task] + 1),
  }


class Peers:
  """The peers' process; one request at a time, so that nothing runs beside ours."""

  def __init__(self, python: pathlib.Path, inputs_path, sizes: dict):
    script = ROOT / "benchmarks" / "peers.py"
    self._process = subprocess.Popen(
      [python, script, inputs_path, json.dumps(sizes)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def ask(self, **request) -> dict:
    self._process.stdin.write(json.dumps(request) + "\n")
    self._process.stdin.flush()
    answer = self._process.stdout.readline()
    if not answer:
      raise RuntimeError(f"the peers' process ended at {request}; its error is above")
    return json.loads(answer)

  def close(self) -> None:
    self._process.stdin.close()
    self._process.wait(timeout=60)


def _rate(job: ours.Job, seconds: float) -> float:
  """Items a second, over at least one call and so many seconds."""
  clock = time.process_time if CPU_CLOCK else time.perf_counter
  start, count = clock(), 0
  while (spent := clock() - start) < seconds or not count:
    job.call()
    count += 1
  return count * job.items / spent


def _prepared(make, bench) -> tuple[ours.Job, float]:
  """The job, and how long its making and its first call took."""
  start = time.perf_counter()
  job = make(bench)
  job.call()
  return job, time.perf_counter() - start


def measure(name: str, bench, peers, rounds: int, seconds: float) -> tuple[dict, dict]:
  """(entry of results.json, entry of details.json) of one kind of work."""
  key, peer_work, peer_name = KEYS[name]
  job, compile_s = _prepared(ours.WORK[name], bench)
  details = {"compile_s": compile_s, "ours": [], "peer": []}
  peer_turn = None
  if peer_work == "records_read_tfds":
    peer_job, details["peer_compile_s"] = _prepared(ours.records_read_tfds, bench)
    peer_turn = lambda: _rate(peer_job, seconds)
  elif peer_work is not None and peers is not None:
    details["peer_compile_s"] = peers.ask(prepare=peer_work)["compile_s"]
    peer_turn = lambda: peers.ask(run=peer_work, seconds=seconds, cpu=CPU_CLOCK)["rate"]
  for _ in range(rounds):
    details["ours"].append(_rate(job, seconds))
    if peer_turn is not None:
      details["peer"].append(peer_turn())
  if peers is not None and peer_work in ("lm_train", "tokenizer_train"):
    peers.ask(drop=peer_work)
  if key.endswith("_ms"):
    details["ours"] = [1e3 / rate for rate in details["ours"]]
  mine = statistics.median(details["ours"])
  peer = statistics.median(details["peer"]) if details["peer"] else None
  entry = {
    "ours": mine,
    "peer": peer,
    "ratio": None if peer is None else mine / peer,
    "peer_name": peer_name,
    "limit": job.limit,
    "fraction_of_limit": None if job.limit is None else mine / job.limit,
  }
  return entry, details


def run(args) -> dict:
  sizes = SMALL if args.small else SIZES
  python, peers = pathlib.Path(args.peers), None
  given = inputs(sizes)
  clock = time.process_time if CPU_CLOCK else time.perf_counter
  machine = limits.measure(args.small, clock)
  bench = ours.Bench(sizes, given, machine)
  start = time.perf_counter()
  results, details = {}, {}
  try:
    with tempfile.TemporaryDirectory() as folder:
      np.savez(os.path.join(folder, "inputs.npz"), **given)
      if python.exists():
        peers = Peers(python, os.path.join(folder, "inputs.npz"), sizes)
      else:
        print(f"{python}: not there, so no peers (make peers)", file=sys.stderr)
      for name in args.only or KEYS:
        key = KEYS[name][0]
        results[key], details[key] = measure(
          name, bench, peers, args.rounds, args.seconds
        )
        print(_line(key, results[key]), flush=True)
    if AVX2:
      results = {f"{key}@AVX2": entry for key, entry in results.items()}
  finally:
    bench.close()
    if peers is not None:
      peers.close()
  about = {
    "date": time.strftime("%Y-%m-%d"),
    "seconds": time.perf_counter() - start,
    "rounds": args.rounds,
    "seconds_a_turn": args.seconds,
    "cpu": platform.processor() or platform.machine(),
    "cores": machine.cores,
    "instructions": "AVX2" if AVX2 else "all",
    "clock": "cpu, one thread a side" if CPU_CLOCK else "wall",
    "matmul_gflops": machine.flops_per_s / 1e9,
    "copy_gbytes_per_s": machine.bytes_per_s / 1e9,
    "jax": jax.__version__,
    "devices": [str(device) for device in jax.devices()],
    "load_average": os.getloadavg(),
    "sizes": sizes,
  }
  out = pathlib.Path(args.out)
  earlier = json.loads(out.read_text()) if out.exists() else {}
  files.write_json(out, _beside(earlier, results, bool(args.only)))
  suffix = "_avx2" if AVX2 else ""
  files.write_json(out.with_name(f"details{suffix}.json"), {"about": about, **details})
  return results


def _beside(earlier: dict, results: dict, some: bool) -> dict:
  """The file with these results in it: rows of the other instructions stay.

  Args:
    some: whether not all kinds of work were measured; the others stay, too.
  """
  kept = earlier
  if not some:
    kept = {k: v for k, v in earlier.items() if k.endswith("@AVX2") != AVX2}
  rows = kept | results
  return {key: rows[key] for key in sorted(rows, key=_place)}


def _place(key: str) -> tuple[bool, int]:
  name, _, isa = key.partition("@")
  return bool(isa), [known for known, *_ in KEYS.values()].index(name)


def _line(key: str, entry: dict) -> str:
  text = f"{key:42} {entry['ours']:12,.1f}"
  if entry["peer"] is not None:
    text += f"   {entry['ratio']:6.2f} x {entry['peer_name']} ({entry['peer']:,.1f})"
  if entry["limit"] is not None:
    text += f"   {entry['fraction_of_limit']:.0%} of the limit"
  return text


def main(argv=None) -> dict:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.run", description=__doc__.splitlines()[0]
  )
  parser.add_argument("--out", default=str(ROOT / "benchmarks" / "results.json"))
  parser.add_argument(
    "--only", nargs="+", choices=KEYS, metavar="WORK", help="of these"
  )
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--seconds", type=float, default=0.8, help="of a turn")
  parser.add_argument(
    "--clock", choices=("wall", "cpu"), default="wall", help="see above"
  )
  parser.add_argument("--isa", choices=("all", "AVX2"), default="all", help="see above")
  parser.add_argument("--small", action="store_true", help="tiny sizes, for tests")
  parser.add_argument(
    "--peers",
    default=str(ROOT / ".venv-peers" / "bin" / "python"),
    help="their python (make peers)",
  )
  args = parser.parse_args(argv)
  if (args.clock == "cpu", args.isa == "AVX2") != (CPU_CLOCK, AVX2):
    parser.error("--clock and --isa take effect before JAX starts: write --isa=AVX2")
  host.keep_freed()
  return run(args)


if __name__ == "__main__":
  main()

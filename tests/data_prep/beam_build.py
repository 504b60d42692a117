"""Run by .venv-beam's Python: builds a corpus on Beam's local runner; prints JSON.

beam_build.py OUT NUM; see test_build_beam.py.
"""

import json
import os
import pickle
import sys

import numpy as np
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions

from data_prep import build, build_beam, build_shards, simulate

OPTIONS = ["--runner=FnApiRunner", "--direct_num_workers=1"]


def graph(out_dir, basis):
  """What travels to a cluster: the portable graph, and the function in it."""
  write = build_beam.WriteShard(out_dir, build.SimulatedClips(basis))
  names = [
    f"00008-simulated_faces-train.array_record-{i:05d}-of-00003.jsonl" for i in range(3)
  ]
  proto = build_beam.pipeline(names, write, PipelineOptions(OPTIONS)).to_runner_api()
  again = Pipeline.from_runner_api(
    proto, None, PipelineOptions(OPTIONS)
  ).to_runner_api()
  steps = sorted(
    t.unique_name for t in again.components.transforms.values() if t.unique_name
  )
  copy = pickle.loads(pickle.dumps(write))
  return {
    "steps": steps,
    "bytes": proto.ByteSize(),
    "same": copy.out_dir == out_dir and copy.maker.basis.version == basis.version,
  }


def main():
  out_dir, num = sys.argv[1], int(sys.argv[2])
  basis = simulate.HeadBasis("standin00000", 5, np.eye(50))
  simulate.head_basis = lambda: basis
  make = lambda: build.build_corpus(
    out_dir, num, 0, seconds=(0.8, 1.2), shard_clips=8, run=build_beam.runner(OPTIONS)
  )
  # First with a worker that fails at the fourth shard: what is finished stays.
  whole, calls = build_shards.write_shard, []

  def fails(shard, maker):
    calls.append(shard.path)
    if len(calls) == 4:
      raise OSError("No space left on device")
    return whole(shard, maker)

  build_shards.write_shard = fails
  failure = ""
  try:
    make()
  except Exception as error:
    failure = str(error)
  kept = sorted(name for name in os.listdir(out_dir) if name.endswith(".sums.json"))
  unreadable = not os.path.exists(os.path.join(out_dir, "dataset_info.json"))
  calls.clear()
  build_shards.write_shard = lambda *args: calls.append(1) or whole(*args)
  stats = make()
  made = len(calls)
  again = make()
  report = {"failure": failure, "kept": len(kept), "unreadable": unreadable}
  report |= {"made": made, "stats": stats, "done": again == stats}
  print(json.dumps(report | {"graph": graph(out_dir, basis)}))


if __name__ == "__main__":
  main()

"""The command `tdmm evaluate`: a run's scores, or those of a folder of motions."""

import json
import os
import pathlib
import sys

from tdmm_jax import files, host
from tdmm_jax.cli import options
from tdmm_jax.errors import UserError


def add_command(add) -> None:
  """Adds `evaluate`; add: see `main`."""
  command = add(
    "evaluate", _evaluate, "Score a run on records, or motion files against true ones."
  )
  options.add_run(command)
  option = command.add_argument
  option("--records", help="record directory (default: RUN/records)")
  option("--split", choices=("valid", "test"), default="test")
  option("--max_clips", type=int, help="score the first N clips only")
  option("--seed", type=int, default=0)
  option(
    "--replications",
    type=int,
    default=1,
    metavar="N",
    help="of what is sampled; a released table has 20 (default: 1)",
  )
  option(
    "--quick",
    action="store_true",
    help="leave out what takes longest (docs/metrics.md)",
  )
  option(
    "--judge_url", metavar="URL", help="OpenAI-compatible endpoint that judges too"
  )
  option("--judge_model", metavar="NAME", help="the endpoint's model")
  option(
    "--judge_cache",
    default="judge_answers.jsonl",
    metavar="FILE",
    help="its answers so far (default: judge_answers.jsonl)",
  )
  option("--bert_model", metavar="DIR", help="encoder of BERTScore (none by default)")
  option(
    "--pred", metavar="DIR", help="score this folder of motions (or records) instead"
  )
  option("--ref", metavar="DIR", help="the true motions of --pred, by file name")
  options.add_face_model(command)
  option(
    "--json", metavar="FILE", help="write the scores here too; -: print them as JSON"
  )
  option("--markdown", metavar="FILE", help="write the tables here")


def _evaluate(args) -> None:
  for name, least in (("max_clips", 2), ("replications", 1)):
    value = getattr(args, name)
    if value is not None and value < least:
      raise UserError(f"--{name} {value}: out of range; give {least} at least")
  if bool(args.pred) != bool(args.ref):
    raise UserError("--pred, --ref: give both, or none to score a run")
  host.keep_freed()
  if args.pred:
    scores, text = _score_files(args)
  else:
    scores, text = _score_run(args)
  if args.markdown:
    files.write_text(args.markdown, text)
  if args.json == "-":
    print(json.dumps(scores, indent=2, sort_keys=True))
    return
  if args.json:
    files.write_json(args.json, scores)
  _show(scores)


def _score_files(args) -> tuple[dict, str]:
  from tdmm_jax.evaluation import evaluate, files, tables

  scores = files.scores(args.pred, args.ref, args.split, args.face_model, args.seed)
  scores |= {"schema_version": evaluate.SCHEMA_VERSION, "seed": args.seed}
  return scores, tables.files_markdown(scores, pathlib.Path(args.pred).name)


def _score_run(args) -> tuple[dict, str]:
  from tdmm_jax.evaluation import evaluate, tables
  from tdmm_jax.language import endpoint

  judge = None
  if args.judge_url:
    if not args.judge_model:
      raise UserError("--judge_model: name the model that --judge_url is to ask")
    key = os.environ.get("OPENAI_API_KEY")
    judge = endpoint.Endpoint(args.judge_url, args.judge_model, key)
  face = options.load(args)
  directory = files.as_path(face.name)
  records = args.records or directory / "records"
  settings = evaluate.Options(
    split=args.split,
    max_clips=args.max_clips,
    seed=args.seed,
    replications=args.replications,
    quick=args.quick,
    judge=judge,
    judge_cache=args.judge_cache,
    bert_model=args.bert_model,
  )
  network, why = evaluate.network_of(directory)
  say = lambda text: args.quiet or print(f"tdmm: {text}", file=sys.stderr)
  scores = evaluate.evaluate(face, records, settings, network, why, say)
  return scores, tables.markdown(scores, str(directory), str(records))


def _show(scores: dict, indent: str = "") -> None:
  """Numbers a line each; what stands beside them (floor, ceiling ...) further in."""
  for name, value in scores.items():
    if isinstance(value, dict):
      if name not in ("interval", "versions"):
        print(f"{indent}{name}")
        _show(value, indent + "  ")
    elif isinstance(value, float):
      spread = scores.get("interval", {}).get(name) or 0.0
      shown = f"{value:.4g}" + (f" ± {spread:.2g}" if spread else "")
      print(f"{indent}{name:28} {shown}")
    else:
      print(f"{indent}{name:28} {value}")

"""The docs' tables are those of the measured numbers, and say what they should."""

import json

from benchmarks import pod_tables


def test_the_docs_hold_the_tables_of_the_results():
  results = json.loads(pod_tables.RESULTS.read_text())
  docs = pod_tables.DOCS.read_text()
  assert pod_tables.written(docs, results) == docs


def report(**changes):
  return {
    "chips": 8,
    "hbm_gib": 3.25,
    "hbm_limit_gib": 15.75,
    "fits": True,
    "step_seconds_bound": 0.010,
    "step_seconds_no_overlap": 0.016,
    "tokens_per_second_bound": 1234.5,
  } | changes


def test_efficiency_is_the_first_step_over_the_others():
  first, second, third = [c for c in pod_tables.cells() if c.table == "weak"][:3]
  results = {
    first.key: report(),
    second.key: report(chips=16, step_seconds_bound=0.0125),
    third.key: {"error": "compile_check: error: no"},
  }
  rows = pod_tables.weak_table(results).splitlines()
  assert rows[2] == "| lm_base | v5e:2x4 | 8 | 1,234 | 1.000 | 1.000 | 3.2 |"
  assert rows[3] == "| lm_base | v5e:8x8 | 16 | 1,234 | 0.800 | 1.000 | 3.2 |"
  assert "error: no" in rows[4] and rows[4].count("|") == rows[3].count("|")

#!/usr/bin/env bash
# Copy the tables of finished runs of the shipped scenarios from results/ to results/reference/, and draw the figures of
# all released results again, from the tables alone: distributions would need the drops, which are not released.
#   uv run bash results/reference/update.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
for scenario in scenarios/*.yaml; do
  name=$(basename "$scenario" .yaml)
  released="results/reference/$name"
  if [ -f "results/$name/metrics.csv" ]; then
    mkdir -p "$released"
    cp "results/$name/metrics.csv" "results/$name/manifest.json" "$released/"
  fi
  [ -f "$released/metrics.csv" ] || continue
  rm -rf "$released/figures"
  python -m linksim report "$released" > /dev/null
  rm "$released/report.html" "$released"/figures/*.pdf
done

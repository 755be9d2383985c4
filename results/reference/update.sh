#!/usr/bin/env bash
# Copy finished runs of the shipped scenarios from results/ to results/reference/ (metrics, manifest, PNG figures).
set -euo pipefail
cd "$(dirname "$0")/../.."
for scenario in scenarios/*.yaml; do
  name=$(basename "$scenario" .yaml)
  [ -f "results/$name/metrics.csv" ] || continue
  rm -rf "results/reference/$name"
  mkdir -p "results/reference/$name/figures"
  cp "results/$name/metrics.csv" "results/$name/manifest.json" "results/reference/$name/"
  cp "results/$name"/figures/*.png "results/reference/$name/figures/"
done

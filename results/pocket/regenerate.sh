#!/usr/bin/env bash
# Makes the files of this folder (not lab/, which python -m trainers.pocket_lab makes): three checkpoints of the pocket
# world, evaluated, compared and drawn with the commands that README shows. About ten minutes on 2 cores.
# Runs are kept in results/runs/reference, so that the same command goes on where it was interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=results/pocket
runs=results/runs/reference
settings=(--recipe pocket --set num_train_epochs=2 --set learning_rate=2e-5)

[ -f "$runs/preferences/preferences.jsonl" ] ||
    python -m benchmarks.pocket.preferences --n 640 --seed 1 --out "$runs/preferences"
for method in dpo mdpo; do
    python -m trainers.run --method "$method" "${settings[@]}" \
        --data "$runs/preferences/preferences.jsonl" --out "$runs/checkpoints/$method"
done

evaluate() { python -m harness.run --suite all --edition pocket "$@"; }
evaluate --control blind --out "$runs/base"
for method in dpo mdpo; do
    evaluate --ckpt "$runs/checkpoints/$method" --out "$runs/$method"
done

three=("$runs/base" "$runs/dpo" "$runs/mdpo")
columns=pope.mean_f1,amber.amber_score,object_halbench.CHAIRs_refine,object_halbench.CHAIRi,mmhal.score
columns+=,mmvet.total,llava_bench.relative_score,mmbench.circular,mtbench.average,alpacaeval.win_rate
python -m harness.compare "${three[@]}" --metrics "$columns" --format markdown --out "$here/table.md"
python -m harness.compare "${three[@]}" --format latex --layout mdpo-table1 --out "$here/table.tex"
python -m harness.plots forest "${three[@]}" --baseline "$runs/base" --out "$here/forest.png" --out "$here/forest.svg"
python -m harness.plots bars "${three[@]}" --metric mmhal --out "$here/mmhal.png"
python -m harness.plots radar "${three[@]}" --metric mmvet --out "$here/mmvet.png"
python -m harness.plots reliance "$runs/base" --out "$here/reliance.png"
python -m harness.check "$runs/base" --baseline "$here/baseline.json" --update

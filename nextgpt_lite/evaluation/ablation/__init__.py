"""Ablations: a grid of settings, one training and one score a cell and seed, one table of answers.

    nextgpt-lite ablate configs/ablation/messenger.yaml --output runs/messenger --workers 2

Rooms: `grid` reads the file, `cells` takes a cell through its stages and asks it questions,
`runner` does what is not done yet, `table` writes the CSV, `figures` draws from it alone.

**The output folder**: `stages/` trained models by the hash of all that made them (cells that share
a beginning share it), `cells/` one JSON file a cell and seed, whole or not there, and one table a
grid, named after its file, with all settings, versions and hashes beside it as JSON. Several grids
may share a folder, and what they have in common.

**The table** (`messenger.csv` for `messenger.yaml`), one row for each answer of each cell and seed:

| column | |
|---|---|
| `system` | name of the cell |
| `seed` | of what was untrained and of the order of the data |
| `id`, `group`, `level`, and what it tells of itself | of the `Instruction` that was asked (the \
lite world's tell `skill`, `split`, `pairs`, `length`); the same ids in every cell and seed, so \
that answers pair up |
| `wanted`, `given` | media that should come, and that came, joined by "+" |
| between `given` and `text` | the judge's aspects, 0 to 100 (the lite world's: `following`, \
`rationality`, `quality`) |
| `text`, `told`, `told_right` | the words of the reply, the captions in them, 100 where they are \
what was wanted (the lite world's judge) |
| `init`, `messenger`, `lora_rank` | settings of the cell |
| `signal_tokens`, `projection`, `distance`, `distance_weight`, `denoising`, `condition_dropout`, \
`hidden_layer` | the same, empty where captions are the messenger; `signal_tokens` as \
image/audio/video |
| `stages`, `steps`, `mixture`, `learns` | stages in their order, steps of each, weights of kinds \
and learning parts where they are not the stage's own |
| `samples`, `parts` | conversations that were trained on; hash of the frozen parts |
| `key` | hash of all that made the answers; the name of the cell's file begins with it |

All but the last four lines are the columns of `evaluation.comparison.rows`, whose `read_rows`,
`mean` and `difference`, and the tables of `evaluation.comparison.table14`, read this file too.
"""

"""The paper's Tables 2 to 13 on any model.

    nextgpt-lite evaluate --table N --profile P

Rooms: `generating` (2, 3, 4), `describing` (5, 6, 7, 11), `editing` (8, 9, 10) and `choosing` (12,
13) measure them; `sheet` finds the task of a table and prints ours above the paper's numbers, which
`paper.yaml` holds. Items come from a benchmark's file, or from a plugin:

| function of the plugin | tables |
|---|---|
| `items(modality, count, *, seed)` -> list[Item] | 2 to 7 |
| `unseen(count)` -> dict[str, list[Item]], the first set of images | 11 |
| `wishes(modality, count, what, *, seed)` -> list[Wish], of an "object" or the "background" | 8 \
to 10 |
| `questions(benchmark, folder, count, *, seed)` -> Path of the file of "mme", "mmbench" or \
"seed_bench" | 12, 13 |
| `sound_classes()` -> captions of each class | 4 |
| `facts(candidates, references)` -> list[float], in the place of SPICE | 5 |
| `title`: what its items are called in a protocol | all |
"""

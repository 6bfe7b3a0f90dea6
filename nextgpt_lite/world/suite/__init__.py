"""The lite suite: what each shipped part can do alone, and the whole model after each stage.

    nextgpt-lite evaluate --output DIR

Rooms: `run` holds the examinations and keeps their rows. Of the frozen parts: `decoders`,
`frozen`. Of the whole: `stages` (1 and 2), `dialogues` (3), `cost`.
For all of them: `examination` (what one is given and gives back), `prompts`, `rows` of the table,
`contact` sheets.
"""

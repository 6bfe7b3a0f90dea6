"""People's judgement of several systems' answers, without their names (appendices F and G).

Rooms: `items` are what is judged, `session` one person's judgements, `results` those of several
people as rows and tables, `agreement` is Krippendorff's alpha. The widget is `notebook.rating`.
"""

"""The user's side as people type it: synonyms, slips of the fingers, and what is outside the world.

Replies stay those of `world.dialogue`; only what the user says is wider here.
"""

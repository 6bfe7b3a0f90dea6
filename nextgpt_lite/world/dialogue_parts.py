"""The former name of `world.dialogue.parts`, for scripts written for the layout before."""

from nextgpt_lite.world.dialogue.parts import DEFAULTS, telling

__all__ = ["DEFAULTS", "telling"]

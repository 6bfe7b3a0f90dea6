"""The systems that the paper compares (Table 14, appendices G and H), over the same frozen parts.

end_to_end = Chat(model)                    # signal tokens; or captions, as it was trained
own = OwnWords(model)                       # what it said, through the decoders' text encoders
pipeline = ToolPipeline(model)              # HuggingGPT: words between frozen tools
images = ToolPipeline(model, ("image",))    # Visual-ChatGPT: the same, images only
gold, truth = GoldCaption(model), GroundTruth(model)  # upper bounds

print(answer(pipeline, "Draw a red car and let me hear it."))  # the reply and each step to it
"""

from nextgpt_lite.evaluation.baselines.pipeline import InstructedPlanner, ToolPipeline
from nextgpt_lite.evaluation.baselines.systems import (
    Chat,
    GoldCaption,
    GroundTruth,
    OwnWords,
    answer,
    answers,
    share_frozen,
)
from nextgpt_lite.evaluation.protocols import Answer, Step, System

__all__ = [
    "Answer",
    "Chat",
    "GoldCaption",
    "GroundTruth",
    "InstructedPlanner",
    "OwnWords",
    "Step",
    "System",
    "ToolPipeline",
    "answer",
    "answers",
    "share_frozen",
]

"""The systems that the paper compares (Table 14, appendices G and H), over the same frozen parts.

end_to_end = Chat(model)                    # signal tokens; or captions, as it was trained
pipeline = ToolPipeline(model)              # HuggingGPT: words between frozen tools
pictures = ToolPipeline(model, ("image",))  # Visual-ChatGPT: the same, pictures only
gold, truth = GoldCaption(model), GroundTruth(model)  # upper bounds

print(answer(pipeline, "Draw a red car and let me hear it."))  # the reply and each step to it
"""

from nextgpt_lite.evaluation.baselines.answer import Answer, Step, System, answer, answers
from nextgpt_lite.evaluation.baselines.pipeline import InstructedPlanner, ToolPipeline, WorldPlanner
from nextgpt_lite.evaluation.baselines.systems import Chat, GoldCaption, GroundTruth, share_frozen

__all__ = [
    "Answer",
    "Chat",
    "GoldCaption",
    "GroundTruth",
    "InstructedPlanner",
    "Step",
    "System",
    "ToolPipeline",
    "WorldPlanner",
    "answer",
    "answers",
    "share_frozen",
]

"""What of a conversation the language model can read: the newest turns, and whole ones only.

Knows: which turns to leave out, and when nothing helps. Leaves to others: ids (`conversation`), the
limit (`llm`), and telling the user (`turn`).
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.conversation import ConversationTokenizer, Encoded
from nextgpt_lite.model.generation import Sampling
from nextgpt_lite.model.llm import LanguageModel


def newest_turns(
    tokenizer: ConversationTokenizer, messages: Conversation, llm: LanguageModel, sampling: Sampling
) -> tuple[Conversation, Encoded]:
    """The conversation without its oldest turns, as few as possible, and its ids.

    What is left has room for the longest reply. A turn is a user's message and all that follows it
    up to the next one; a system turn before all stays.

    Raises:
        ConfigError: the last turn alone is too long, or the longest reply.
    """
    begin = int(messages[0]["role"] not in ("user", "assistant"))
    turns = {index for index, message in enumerate(messages) if message["role"] == "user"}

    @cache
    def since(start: int) -> tuple[Conversation, Encoded]:
        kept = [*messages[:begin], *messages[start:]]
        return kept, tokenizer.encode(kept, reply_follows=True)

    if llm.context is None:
        return since(begin)
    longest = max((len(ids) for ids in llm.signal_ids.values()), default=0)
    reply = sampling.max_new_tokens + sampling.max_blocks * longest
    room = llm.context - reply
    if room <= 0:
        raise ConfigError(
            f"Option max_new_tokens is {sampling.max_new_tokens}, and this language model reads "
            f"{llm.context:,} positions, of which {reply:,} would be the reply's: take fewer."
        )
    starts = sorted({begin, *turns})
    if len(since(begin)[1]) <= room:
        return since(begin)
    chosen = bisect_left(starts, True, key=lambda start: len(since(start)[1]) <= room)
    if chosen < len(starts):
        return since(starts[chosen])
    raise ConfigError(
        f"The message takes {len(since(starts[-1])[1]):,} positions, and this language model reads "
        f"{llm.context:,}, of which {reply:,} are kept for the reply: shorten it."
    )

"""What transformers' `AutoProcessor` gives for a folder of ours; `chat.NextGPT` itself needs none.

Knows: how transformers calls a processor. Leaves to others: messages and their media (`turn`), ids
(`model.conversation`).
"""

from __future__ import annotations

from typing import Any, Self

from transformers import BatchFeature

from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.checkpoint import read_config
from nextgpt_lite.model.config import NextGPTConfig, locate
from nextgpt_lite.model.conversation import ConversationTokenizer
from nextgpt_lite.model.gguf import unpacked
from nextgpt_lite.model.hub import model_folder
from nextgpt_lite.model.vocabulary import add_tokens, load_tokenizer
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import asked, read_media, with_media


class NextGPTProcessor:
    """Words and media as `chat` takes them, or as the ids that the language model reads.

    processor = AutoProcessor.from_pretrained(folder)
    reply = model.chat(**processor(text="What is this?", images=image), seed=0)
    """

    def __init__(self, conversation: ConversationTokenizer) -> None:
        self.conversation, self.tokenizer = conversation, conversation.tokenizer
        self.decode, self.batch_decode = self.tokenizer.decode, self.tokenizer.batch_decode

    @classmethod
    def from_pretrained(
        cls, name: str, *, revision: str | None = None, download: bool = False, **_: Any
    ) -> Self:
        """As of `NextGPT.from_pretrained`; loads a tokenizer and no weights.

        Raises:
            MissingError: the folder or its language model is missing.
        """
        folder = model_folder(str(name), revision, download)
        config = NextGPTConfig.from_dict(read_config(folder)["config"])
        tokenizer = load_tokenizer(unpacked(locate(config.llm)), config.chat_format)
        signal = add_tokens(tokenizer, config.signal_tokens, config.messenger).signal
        return cls(ConversationTokenizer(tokenizer, signal, config.input_tokens, config.messenger))

    def __call__(
        self,
        text: str | Conversation,
        images: Any = (),
        audio: Any = (),
        videos: Any = (),
        **_: Any,
    ) -> BatchFeature:
        """A conversation as `chat` takes it, its media read.

        Args:
            text: words or messages, in any form that `chat` takes.
            images, audio, videos: as `images`, `audios`, `videos` of `chat`.

        Raises:
            MediaError: a medium cannot be read.
            ConfigError: naming the field of the messages that is wrong.
        """
        messages = asked(text, {"image": images, "audio": audio, "video": videos})
        return BatchFeature({"message": read_media(messages, Reply())})

    def apply_chat_template(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: str | None = None,
        **_: Any,
    ) -> Any:
        """A conversation as the model's text, or as its ids; a medium takes as many as it gets.

        Args:
            return_dict: `input_ids` and `attention_mask` instead of the ids.
            return_tensors: "pt" or "np".
        """
        encoded = self.conversation.encode(
            with_media(conversation), reply_follows=add_generation_prompt
        )
        if not tokenize:
            return self.tokenizer.decode(encoded.ids)
        ids = {"input_ids": [encoded.ids], "attention_mask": [[1] * len(encoded)]}
        found = BatchFeature(ids, tensor_type=return_tensors)
        return found if return_dict else found["input_ids"]

"""Language models that write for a builder: any chat model of transformers, or a server here.

Knows: how a model is found by its name, and the server's protocol (OpenAI's chat completions).
Leaves to others: what is asked (`plans`), what becomes of the text (`script`, `filters`).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import torch

from nextgpt_lite.errors import ConfigError, RunError
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.config import PROFILES, LoraSettings, NextGPTConfig, locate
from nextgpt_lite.model.conversation import ConversationTokenizer
from nextgpt_lite.model.device import pick_device, pick_dtype
from nextgpt_lite.model.generation import Prompt, Sampling, generate
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.modality import BUILT_IN

# Conversations and a seed for each -> a reply to each, in words.
Writer: TypeAlias = Callable[[Sequence[Conversation], Sequence[int]], Sequence[str]]

HOST = "127.0.0.1"
SECONDS = 600  # that a server may take for one reply
LENGTH = 1024  # tokens of a reply, at most


def open_writer(
    llm: str | Writer, device: str = "auto", precision: str = "auto", temperature: float = 0.8
) -> Writer:
    """A writer by its name.

    Args:
        llm: a preset ("smol"), a folder or hub id as every language model has, the address of a
            server on 127.0.0.1 (`http://127.0.0.1:8000/v1`), or any function of that kind.
        device, precision: of a model that runs in this process.
        temperature: of the choice of words; 0 takes the most likely ones.

    Raises:
        MissingError: there is no such model on this machine.
        ConfigError: the address is not of this machine.
        RunError: no server answers there.
    """
    if callable(llm):
        return llm
    if "://" in llm:
        return Server(llm, temperature)
    return Local(llm, device, precision, temperature)


class Local:
    """A chat model of transformers, loaded as every language model here."""

    def __init__(self, name: str, device: str, precision: str, temperature: float) -> None:
        folder = locate(NextGPTConfig.from_profile(name).llm if name in PROFILES else name)
        where = pick_device(device)
        unused = {BUILT_IN[0]: 1}  # a signal token, for there must be one; it is never written
        self.llm = LanguageModel.from_pretrained(
            folder, unused, LoraSettings(), name, dtype=pick_dtype(precision, where)
        )
        self.llm.to(where).eval()
        self.conversation = ConversationTokenizer(self.llm.tokenizer, {}, 1)
        self.sampling = Sampling(LENGTH, temperature=temperature, top_p=0.95)

    def __call__(self, asked: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """See `Writer`."""
        prompts = []
        for messages, seed in zip(asked, seeds, strict=True):
            ids = self.conversation.encode(messages, reply_follows=True).ids
            embeddings = self.llm.embed(torch.tensor([ids], device=self.llm.device))[0]  # (S, D)
            prompts.append(Prompt(embeddings, generator=torch.Generator().manual_seed(seed)))
        said: list[list[int]] = [[] for _ in prompts]
        for number, token in generate(self.llm, prompts, self.sampling):
            if isinstance(token, int):
                said[number].append(token)
        return [self.conversation.decode(ids) for ids in said]


class Server:
    """A program on this machine that speaks OpenAI's protocol, such as vLLM, llama.cpp or Ollama.

    Nothing leaves the machine: other hosts, proxies and redirections are refused.
    """

    def __init__(self, address: str, temperature: float) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or parts.hostname != HOST:
            raise ConfigError(
                f"{address}: data are sent to no other machine; give a server on this one, such as "
                f"http://{HOST}:8000/v1."
            )
        self.address, self.temperature = address.rstrip("/"), temperature
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Nowhere())
        self.model = self._read("/models", lambda found: found["data"][0]["id"])

    def __call__(self, asked: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """See `Writer`; the server sees all of them at once."""
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            return [*pool.map(self._reply, asked, seeds)]

    def _reply(self, messages: Conversation, seed: int) -> str:
        wish = {
            "model": self.model, "messages": messages, "seed": seed, "max_tokens": LENGTH,
            "temperature": self.temperature,
        }  # fmt: skip
        return str(self._read("/chat/completions", _said, wish))

    def _read(self, path: str, pick: Callable[[Any], Any], wish: Any = None) -> Any:
        request = urllib.request.Request(
            self.address + path,
            None if wish is None else json.dumps(wish).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with self.opener.open(request, timeout=SECONDS) as answer:
                return pick(json.load(answer))
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise RunError(
                f"{self.address}{path} gives no answer in OpenAI's form ({error!r}): start the "
                "server there, then the same command again."
            ) from error


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it could lead to another machine."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _said(answer: Any) -> str:
    return str(answer["choices"][0]["message"]["content"] or "")

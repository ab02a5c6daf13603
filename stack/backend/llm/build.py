"""The chain that the settings describe."""

from __future__ import annotations

from pathlib import Path

from stack.backend.llm.breaker import Breaker
from stack.backend.llm.budget import Budget
from stack.backend.llm.chain import Chain, Link, Retries
from stack.backend.llm.config import LlmSettings
from stack.backend.llm.local_provider import MODEL, LocalProvider
from stack.backend.llm.openai_provider import OpenAIProvider
from stack.backend.llm.prices import Price


def build_chain(settings: LlmSettings, spent: Path | None = None, retries: Retries | None = None) -> Chain:
    """The configured providers in their order, and the built-in one last.

    Args:
        spent: the file that keeps what was spent today.
        retries: how patiently; by default as patiently as `Retries` is.
    """
    links = []
    for config in settings.providers:
        names = [model.name for model in config.models]
        provider = OpenAIProvider(config.name, config.url, names, config.secret(), config.timeout)
        breaker = Breaker()
        links += [Link(provider, model.name, breaker, Price(model.input, model.output)) for model in config.models]
    if settings.local:
        links.append(Link(LocalProvider(), MODEL, Breaker()))
    return Chain(links, settings.chains, Budget(settings.budget, spent), retries)

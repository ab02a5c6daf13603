"""Which providers there are, what their models cost, and which are asked for which task: from the environment.

LLM_PROVIDERS: a JSON list of `{"name", "url", "key" or "key_env", "models", "timeout"}`, tried in this order. A model is a name or
    `{"name", "input", "output"}` with the dollars for a million tokens.
LLM_URL, LLM_KEY, LLM_MODELS (names, by commas): instead, for one endpoint.
LLM_CHAINS: a JSON object of tasks and the models to try for each, in order; for others it is every provider's first model.
LLM_BUDGET_DOLLARS: what a day may cost; no limit by default.
LLM_LOCAL=off: no prepared answers when everything else fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from stack.backend.llm.local_provider import MODEL as LOCAL
from stack.backend.llm.tasks import TASKS
from stack.common.contract import first_problem
from stack.common.settings import SettingError, base_url, number

# What the backend itself understands by these.
_RESERVED = ("default", "assistant", LOCAL)

_MAX_PROVIDERS = 16
_MAX_MODELS = 64

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Strict):
    """A model; prices in dollars for a million tokens."""

    name: _Name
    input: float = Field(default=0, ge=0, le=10_000)
    output: float = Field(default=0, ge=0, le=10_000)


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class ProviderConfig(_Strict):
    """An endpoint; `timeout` is in seconds, to the first byte and between two."""

    name: _Name
    url: str = Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    key: SecretStr | None = None
    key_env: str | None = None
    models: list[Annotated[ModelConfig, BeforeValidator(_named)]] = Field(min_length=1, max_length=_MAX_MODELS)
    timeout: float = Field(default=30, gt=0, le=600)

    def secret(self) -> str | None:
        """The key, from here or from the variable that is named.

        Raises:
            SettingError: that variable is not set.
        """
        if self.key is not None:
            return self.key.get_secret_value() or None
        if self.key_env is None:
            return None
        if not (value := os.environ.get(self.key_env, "").strip()):
            raise SettingError(f"LLM_PROVIDERS: {self.name} takes its key from {self.key_env}, which is not set")
        return value


_PROVIDERS = TypeAdapter(Annotated[list[ProviderConfig], Field(max_length=_MAX_PROVIDERS)])
_CHAINS = TypeAdapter(dict[str, Annotated[list[str], Field(min_length=1, max_length=_MAX_MODELS)]])


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """Providers in the order in which they are tried, models by task, dollars a day, and whether prepared answers stand in."""

    providers: tuple[ProviderConfig, ...] = ()
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    budget: float | None = None
    local: bool = True


def read_settings() -> LlmSettings:
    """The settings in the environment.

    Raises:
        SettingError: one of them cannot be used.
    """
    providers = _providers()
    local = os.environ.get("LLM_LOCAL", "").strip().lower() or "on"
    if local not in ("on", "off"):
        raise SettingError(f"LLM_LOCAL={local!r}: give on or off")
    if local == "off" and not providers:
        raise SettingError("LLM_LOCAL=off leaves nobody to answer; LLM_URL and LLM_MODELS name an endpoint")
    budget = number("LLM_BUDGET_DOLLARS", -1, least=0, most=1_000_000)
    return LlmSettings(providers, _chains(providers), None if budget < 0 else budget, local == "on")


def _providers() -> tuple[ProviderConfig, ...]:
    if text := os.environ.get("LLM_PROVIDERS", "").strip():
        # Only where and what, never the input: it holds keys.
        try:
            providers = _PROVIDERS.validate_python(json.loads(text))
        except ValidationError as error:
            raise SettingError(f"LLM_PROVIDERS: {first_problem(error)}") from None
        except (ValueError, RecursionError):
            raise SettingError("LLM_PROVIDERS is no JSON; give a list of providers") from None
    elif os.environ.get("LLM_URL", "").strip():
        providers = [_one_provider()]
    else:
        return ()
    names = [provider.name for provider in providers]
    if len(set(names)) != len(names) or LOCAL in names:
        raise SettingError(f"LLM_PROVIDERS: give each provider a name of its own, and none of them {LOCAL!r}")
    for provider in providers:
        for model in provider.models:
            if model.name in _RESERVED:
                raise SettingError(f"LLM_PROVIDERS: {provider.name} has a model {model.name!r}; that name means something else")
        provider.secret()
    return tuple(providers)


def _one_provider() -> ProviderConfig:
    url = base_url("LLM_URL", "https://api.openai.com/v1")
    models = [name.strip() for name in os.environ.get("LLM_MODELS", "").split(",") if name.strip()]
    if not models:
        raise SettingError("LLM_URL is set, and LLM_MODELS is not; name the endpoint's models, by commas")
    key = os.environ.get("LLM_KEY", "").strip() or None
    try:
        return ProviderConfig.model_validate({"name": "endpoint", "url": url, "key": key, "models": models})
    except ValidationError as error:
        raise SettingError(f"LLM_URL and LLM_MODELS: {first_problem(error)}") from None


def _chains(providers: tuple[ProviderConfig, ...]) -> Mapping[str, tuple[str, ...]]:
    text = os.environ.get("LLM_CHAINS", "").strip()
    if not text:
        return {}
    try:
        chains = _CHAINS.validate_json(text)
    except ValidationError as error:
        raise SettingError(f"LLM_CHAINS: {first_problem(error)}") from None
    known = {model.name for provider in providers for model in provider.models}
    for task, models in chains.items():
        if task not in TASKS:
            raise SettingError(f"LLM_CHAINS: no task {task!r}; there are {', '.join(TASKS)}")
        if unknown := sorted(set(models) - known):
            raise SettingError(f"LLM_CHAINS: no provider has {', '.join(unknown)}, named for {task}")
    return {task: tuple(models) for task, models in chains.items()}

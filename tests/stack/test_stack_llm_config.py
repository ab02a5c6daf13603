"""The models' settings: what is understood, and what is refused before anything starts."""

from __future__ import annotations

import json
import os

import pytest

from stack.backend.llm.build import build_chain
from stack.backend.llm.config import LlmSettings, read_settings
from stack.common.settings import SettingError

ONE = {
    "name": "big",
    "url": "https://models.example/v1",
    "key": "sk-secret",
    "models": ["m1", {"name": "m2", "input": 1, "output": 2}],
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LLM_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, **variables: object) -> LlmSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    return read_settings()


def names(settings: LlmSettings, task: str = "chat") -> list[str]:
    return [link.model for link in build_chain(settings).links_for(task, None)]


def test_nothing_set_is_the_built_in_provider() -> None:
    """With no settings at all there is somebody to answer, and no limit."""
    settings = read_settings()
    assert names(settings) == ["local"]
    assert settings.budget is None


def test_providers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, prices and order; the chain is each provider's first model, then the built-in one."""
    settings = read(monkeypatch, LLM_PROVIDERS=[ONE, {**ONE, "name": "small", "models": ["m3"]}], LLM_BUDGET_DOLLARS="2.5")
    assert names(settings) == ["m1", "m3", "local"]
    assert settings.budget == 2.5
    prices = {link.model: (link.price.input, link.price.output) for link in build_chain(settings).links}
    assert prices == {"m1": (0, 0), "m2": (1, 2), "m3": (0, 0), "local": (0, 0)}


def test_a_task_can_have_its_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLM_CHAINS orders the models of one task."""
    settings = read(monkeypatch, LLM_PROVIDERS=[ONE], LLM_CHAINS={"audit": ["m2", "m1"]}, LLM_LOCAL="off")
    assert names(settings, "audit") == ["m2", "m1"]
    assert names(settings) == ["m1"]


def test_one_endpoint_is_set_simply(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLM_URL, LLM_KEY and LLM_MODELS are enough."""
    settings = read(monkeypatch, LLM_URL="http://127.0.0.1:11434/v1/", LLM_MODELS="llama3, qwen", LLM_KEY="k")
    assert [model.name for model in settings.providers[0].models] == ["llama3", "qwen"]
    assert settings.providers[0].secret() == "k"
    assert names(settings) == ["llama3", "local"]


def test_a_key_can_lie_in_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`key_env` names it; when that is not set, the setting is refused and names it."""
    elsewhere = {key: value for key, value in ONE.items() if key != "key"} | {"key_env": "TEST_MODEL_KEY"}
    monkeypatch.setenv("TEST_MODEL_KEY", "hidden")
    assert read(monkeypatch, LLM_PROVIDERS=[elsewhere]).providers[0].secret() == "hidden"
    monkeypatch.delenv("TEST_MODEL_KEY")
    with pytest.raises(SettingError, match="TEST_MODEL_KEY"):
        read_settings()


def test_keys_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor a refusal of them has a key in it."""
    assert "sk-secret" not in repr(read(monkeypatch, LLM_PROVIDERS=[ONE]))
    with pytest.raises(SettingError) as caught:
        read(monkeypatch, LLM_PROVIDERS=[{**ONE, "kee": "sk-secret", "url": "sk-secret"}])
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LLM_PROVIDERS": "{"}, "LLM_PROVIDERS is no JSON"),
        ({"LLM_PROVIDERS": "[" * 100_000}, "LLM_PROVIDERS is no JSON"),
        ({"LLM_PROVIDERS": {}}, "LLM_PROVIDERS: "),
        ({"LLM_PROVIDERS": [{**ONE, "models": []}]}, "0.models"),
        ({"LLM_PROVIDERS": [{**ONE, "url": "ftp://x/v1"}]}, "0.url"),
        ({"LLM_PROVIDERS": [{**ONE, "url": "https://user:pass@x/v1"}]}, "0.url"),
        ({"LLM_PROVIDERS": [{**ONE, "timeout": 0}]}, "0.timeout"),
        ({"LLM_PROVIDERS": [{**ONE, "models": [{"name": "m", "input": -1}]}]}, "0.models.0.input"),
        ({"LLM_PROVIDERS": [{**ONE, "models": ["default"]}]}, "default"),
        ({"LLM_PROVIDERS": [ONE, ONE]}, "a name of its own"),
        ({"LLM_PROVIDERS": [ONE], "LLM_CHAINS": {"dancing": ["m1"]}}, "no task 'dancing'"),
        ({"LLM_PROVIDERS": [ONE], "LLM_CHAINS": {"audit": ["m9"]}}, "no provider has m9"),
        ({"LLM_PROVIDERS": [ONE], "LLM_CHAINS": "x"}, "LLM_CHAINS: "),
        ({"LLM_URL": "http://127.0.0.1:1/v1"}, "LLM_MODELS"),
        ({"LLM_URL": "nowhere", "LLM_MODELS": "m"}, "LLM_URL"),
        ({"LLM_LOCAL": "off"}, "LLM_LOCAL=off"),
        ({"LLM_LOCAL": "maybe"}, "LLM_LOCAL='maybe'"),
        ({"LLM_BUDGET_DOLLARS": "-1"}, "LLM_BUDGET_DOLLARS"),
    ],
)
def test_what_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, object], said: str) -> None:
    """The variable is named, and where in it."""
    with pytest.raises(SettingError) as caught:
        read(monkeypatch, **variables)
    assert said in str(caught.value)

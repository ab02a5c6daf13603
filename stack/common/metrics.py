"""What the services count, in Prometheus's format.

Labels have few values, all of our own: nothing that a client sends becomes one, or it could make series without end.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)

# Seconds. From a cached answer to a model that thinks for a minute.
_ANSWERS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10)
_QUALITY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"assistant_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"assistant_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"assistant_{name}", text, labels, buckets=buckets, registry=REGISTRY)


HTTP_REQUESTS = _counter("http_requests", "HTTP requests by route as declared, not as called", "method", "route", "status")
HTTP_SECONDS = _histogram("http_request_seconds", "Seconds to the end of the answer", _REQUESTS, "route")

AI_REQUESTS = _counter("ai_requests", "Requests to models; outcome: ok, cached, failed", "task", "model", "outcome")
AI_SECONDS = _histogram("ai_request_seconds", "Seconds for a model's whole answer", _ANSWERS, "task", "model")
AI_TOKENS = _counter("ai_tokens", "Tokens; kind: prompt, completion", "model", "kind")
AI_COST = _counter("ai_cost_dollars", "Cost by the configured prices", "model")
AI_QUALITY = _histogram("ai_quality", "Score of the answers, 0 to 1", _QUALITY, "task")

WS_CONNECTIONS = _gauge("websocket_connections", "Open WebSockets")
WS_MESSAGES = _counter("websocket_messages", "Messages; direction: in, out", "direction")
WS_ERRORS = _counter("websocket_errors", "Connections that were ended; kind: slow, refused, protocol, failed", "kind")

CACHE_OPERATIONS = _counter("cache_operations", "Operations of the cache of answers", "operation", "outcome")

DB_OPERATIONS = _counter("database_operations", "Database operations", "operation", "outcome")
DB_SECONDS = _histogram("database_operation_seconds", "Seconds for a database operation", _REQUESTS, "operation")

QUEUE_TASKS = _counter("queue_tasks", "Tasks; outcome: accepted, done, failed, redelivered, dead, refused", "outcome")
QUEUE_RUNNING = _gauge("queue_running", "Tasks that are worked on now")

ROUTES = _counter("routes", "Messages that were routed", "intent", "agent")
CLASSIFY_SECONDS = _histogram("classify_seconds", "Seconds to classify a message", _REQUESTS)

SERVICE_UP = _gauge("component_up", "Whether a component of the service works (1) or not (0)", "component")


def exposition() -> Response:
    """The answer to a scrape."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def record_components(states: dict[str, dict[str, object]]) -> None:
    """Sets SERVICE_UP from the components' states of a health answer."""
    for name, state in states.items():
        SERVICE_UP.labels(name).set(1 if state.get("status") == "ok" else 0)

"""`python -m stack.prepare`: what the servers of the profile `full` find at their start: folders, Prometheus's configuration.

`monitoring/prometheus.yml` can be used as it stands while the services have their usual ports. Here it gets the ports of this run,
and the token for the metrics when there is one.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from stack.common.settings import SettingError, base_url
from stack.common.state_dir import state_dir

MONITORING = Path(__file__).parents[1] / "monitoring"

# Where the services are by default, and so in monitoring/prometheus.yml.
_USUAL = {
    "ROUTER_URL": "http://127.0.0.1:8888",
    "BACKEND_URL": "http://127.0.0.1:3002",
    "EXPORTER_URL": "http://127.0.0.1:9188",
    "PROMETHEUS_URL": "http://127.0.0.1:9090",
}
_COMMENTED = "# authorization:"


def configuration(text: str, addresses: dict[str, str], *, token: bool) -> str:
    """Prometheus's configuration for other addresses.

    Args:
        text: the configuration for the usual ones.
        addresses: URL of each service by the variable that names it.
        token: whether the services ask for a token, which then lies in a file `metrics.token` beside the configuration.

    Raises:
        ValueError: a usual address is not in the text.
    """
    # By way of marks: one service may have another's usual port.
    for name, usual in _USUAL.items():
        target = f'"{urlsplit(usual).netloc}"'
        if target not in text:
            raise ValueError(f"the configuration has no target {target}")
        text = text.replace(target, f"<{name}>")
    for name, url in addresses.items():
        text = text.replace(f"<{name}>", f'"{urlsplit(url).netloc}"')
    return text.replace(_COMMENTED, _COMMENTED.removeprefix("# ")) if token else text


def prepare() -> None:
    """Make the folders and write the configuration, both in the state directory.

    Raises:
        SettingError: a variable holds something that cannot be used.
        OSError: something cannot be written.
    """
    place = state_dir()
    for server in ("redis", "nats", "prometheus"):
        (place / server).mkdir(mode=0o700, exist_ok=True)
    own = place / "prometheus"
    addresses = {name: base_url(name, usual) for name, usual in _USUAL.items()}
    token = os.environ.get("METRICS_TOKEN", "").strip()
    _write(own / "metrics.token", token)
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    _write(own / "prometheus.yml", configuration(text, addresses, token=bool(token)))
    shutil.copyfile(MONITORING / "rules.yml", own / "rules.yml")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    try:
        prepare()
    except (SettingError, OSError, ValueError) as error:
        sys.exit(f"prepare: {error}")

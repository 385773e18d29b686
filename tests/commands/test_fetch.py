# SPDX-License-Identifier: Apache-2.0
"""``groundmore fetch`` against a hub of the tests' own on this machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lisa_layout import write_lisa

COMMIT = "0" * 39 + "1"


class Hub(ThreadingHTTPServer):
    """Serves folders as models, by the part of the hub's interface that a download takes."""

    def __init__(self, models: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = models
        self.sent: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        if not self.path.startswith("/api/models/"):
            self._file(body=True)
            return
        for name, folder in self.server.models.items():
            if self.path.startswith(f"/api/models/{name}"):
                files = sorted(f.name for f in folder.iterdir())
                if "/tree/" in self.path:
                    answer: object = [
                        {"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": f}
                        for f in files
                    ]
                else:
                    siblings = [{"rfilename": f} for f in files]
                    answer = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings,
                              "private": False, "tags": [], "downloads": 0}  # fmt: skip
                self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"})
                return
        self._missing("RepoNotFound")

    def _file(self, *, body: bool) -> None:
        name, _, file = self.path.strip("/").partition("/resolve/")
        path = self.server.models.get(name, Path("/nowhere")) / file.partition("/")[2]
        if not path.is_file():
            self._missing("EntryNotFound")
            return
        content = path.read_bytes()
        if body:
            self.server.sent.append(path.name)
        self._send(
            content,
            {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT},
            body=body,
        )

    def _send(self, content: bytes, headers: dict[str, str], *, body: bool = True) -> None:
        self.send_response(200)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    model = write_lisa(tmp_path, "lisa")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vision_tower": "openai/clip"}))
    (model / "training_args.bin.txt.zip").write_bytes(b"not needed")
    served = Hub({"xinlai/LISA-tiny": model, "openai/clip": tmp_path / "clip"})
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()


def _groundmore(hub: Hub, home: Path, *arguments: str, offline: bool = False) -> tuple[int, str]:
    environment = dict(os.environ) | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "groundmore_ros", *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_model_and_its_tower_come_once_and_then_load_without_the_hub(
    hub: Hub, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    code, said = _groundmore(hub, home, "info", "xinlai/LISA-tiny", offline=True)
    assert code == 1
    assert "groundmore fetch xinlai/LISA-tiny" in said
    code, said = _groundmore(hub, home, "fetch", "xinlai/LISA-tiny")
    assert code == 0, said
    assert "xinlai/LISA-tiny is ready" in said
    assert {"pytorch_model-00001-of-00002.bin", "pytorch_model.bin"} <= set(hub.sent)
    assert "training_args.bin.txt.zip" not in hub.sent
    hub.sent.clear()
    assert _groundmore(hub, home, "fetch", "xinlai/LISA-tiny")[0] == 0
    assert hub.sent == []  # what is there is not sent again
    code, said = _groundmore(hub, home, "info", "xinlai/LISA-tiny", offline=True)
    assert code == 0, said


def test_what_the_hub_has_not_is_one_line(hub: Hub, tmp_path: Path) -> None:
    code, said = _groundmore(hub, tmp_path / "home", "fetch", "xinlai/LISA-99B")
    assert code == 1
    assert said.startswith("groundmore: xinlai/LISA-99B cannot be fetched:")
    assert "Traceback" not in said

"""Fetching from a hub: what is chosen, resumed, checked, and said when there is no network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

from nextgpt_lite.checkpoints.catalogue import CATALOGUE, Checkpoint
from nextgpt_lite.checkpoints.download import LOCK, _checked, choose, download, fetch
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.config import CHECKPOINTS, folder_name, locate

COMMIT = "c" * 40
ROW = Checkpoint("some/model", None, "MIT", True, ("*.json", "*.safetensors", "*.bin", "unet/*"))
FILES = {
    "config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 4096,
    "pytorch_model.bin": b"old",
    "unet/model.fp16.safetensors": b"half",
    "unet/diffusion_pytorch_model.bin": b"only this",
    "unet/model.onnx": b"for another runtime",
    "README.md": b"words",
}


class _Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks of a hub, answered from `FILES`."""

    breaks_off: dict[str, int]
    lies: set[str]
    ranges: list[str]

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/"):
            self._answer(json.dumps(_listing(self.lies)).encode(), {})
            return
        name = self.path.split(f"/resolve/{COMMIT}/")[1]
        content, sent = FILES[name], FILES[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        status = 200
        if start := self.headers.get("Range"):
            self.ranges.append(start)
            first = int(start.removeprefix("bytes=").split("-")[0])
            sent, status = content[first:], 206
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        upto = self.breaks_off.pop(name, None) if self.command == "GET" else None
        self._answer(sent, headers, status, upto)

    do_HEAD = do_GET

    def _answer(
        self, body: bytes, headers: dict[str, str], status: int = 200, upto: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:upto])
            if upto is not None:
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _listing(lies: set[str]) -> dict[str, object]:
    siblings = []
    for name, content in FILES.items():
        oid = "0" * 64 if name in lies else hashlib.sha256(content).hexdigest()
        lfs = {"sha256": oid, "size": len(content), "pointerSize": 1}
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        small = name.endswith((".json", ".md"))
        siblings.append({"rfilename": name, "size": len(content), "blobId": blob}
                        | ({} if small else {"lfs": lfs}))  # fmt: skip
    return {"_id": "1", "id": "some/model", "sha": COMMIT, "siblings": siblings}


@pytest.fixture
def hub() -> Iterator[SimpleNamespace]:
    handler = type("Hub", (_Hub,), {"breaks_off": {}, "lies": set(), "ranges": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(api=HfApi(endpoint=f"http://127.0.0.1:{server.server_port}"), is_=handler)
    server.shutdown()


def test_weights_come_once_and_whole(hub: SimpleNamespace, tmp_path: Path) -> None:
    folder = fetch(ROW, tmp_path, hub.api, lambda _: None)
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    wanted = {"config.json", "model.safetensors", "unet/diffusion_pytorch_model.bin"}
    assert {name for name in there if not name.startswith(".cache")} == {*wanted, LOCK}
    for name in wanted:
        assert (folder / name).read_bytes() == FILES[name]
    note = json.loads((folder / LOCK).read_text())
    assert note["revision"] == COMMIT
    assert note["sha256"]["config.json"] == hashlib.sha256(b"{}").hexdigest()


def test_a_fetch_that_broke_off_goes_on_where_it_stopped(
    hub: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 2**16)
    hub.is_.breaks_off["model.safetensors"] = 700_000
    folder = fetch(ROW, tmp_path, hub.api, lambda _: None)
    first = int(hub.is_.ranges[0].removeprefix("bytes=").split("-")[0])
    assert 0 < first <= 700_000
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_another_hash_is_refused(hub: SimpleNamespace, tmp_path: Path) -> None:
    hub.is_.lies.add("model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: its hash is") as caught:
        fetch(ROW, tmp_path, hub.api, lambda _: None)
    assert "delete the file" in str(caught.value)
    assert not (tmp_path / "some--model" / LOCK).exists()


def test_a_file_whose_hash_the_hub_does_not_state_stays_what_it_was_at_first(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.bin").write_bytes(b"one")
    file: Any = SimpleNamespace(rfilename="a.bin", lfs=None, blob_id=None)
    kept = _checked(tmp_path, file, None)
    assert _checked(tmp_path, file, kept) == kept
    (tmp_path / "a.bin").write_bytes(b"two")
    with pytest.raises(CheckpointError, match=r"a\.bin: its hash is"):
        _checked(tmp_path, file, kept)


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    hub: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"some/model needs 0\.0 GB"):
        fetch(ROW, tmp_path, hub.api, lambda _: None)
    assert not (tmp_path / "some--model").exists()


def test_shards_are_no_variants() -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.bin"]
    files = [SimpleNamespace(rfilename=name) for name in names]
    assert [f.rfilename for f in choose(files, ("*",))] == names[:2]  # type: ignore[arg-type]


def test_without_a_network_it_fails_within_seconds_in_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}  # nothing listens there
    command = [sys.executable, "-m", "nextgpt_lite", "download", "--profile", "colab"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert time.monotonic() - started < 10
    assert done.stderr.count("\n") == 1
    assert "out of reach" in done.stderr and "127.0.0.1:9" in done.stderr
    assert "nielsr/imagebind-huge: CC-BY-NC-SA-4.0, not for commercial use" in done.stdout


def test_the_lite_preset_needs_nothing(tmp_path: Path) -> None:
    assert download("lite", tmp_path, lambda _: None, "http://127.0.0.1:9") == []


def test_a_fetched_checkpoint_is_found_by_its_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(CATALOGUE))
    with pytest.raises(FileNotFoundError, match="nextgpt-lite download"):
        locate(name)
    (tmp_path / folder_name(name)).mkdir()
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path))
    assert locate(name) == tmp_path / folder_name(name)

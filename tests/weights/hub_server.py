"""A stand-in for the Hugging Face hub: as much of its HTTP interface as the real client needs for models.

Repositories are made and committed to with a token only; weights come by git-lfs's "basic" transfer, everything else
inside of the commit. What the hub adds to this today, its Xet storage, is left out: the client is told not to use it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_standin"
REPOSITORY = r"(?P<name>[\w.-]+/[\w.-]+)"


@dataclass(frozen=True)
class Commit:
    """The whole tree after it."""

    sha: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """Commits by branch, oldest first."""

    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def find(self, revision: str) -> Commit | None:
        """The last commit of a branch, or the one of that name."""
        if revision in self.branches:
            return self.branches[revision][-1]
        return next((c for commits in self.branches.values() for c in commits if c.sha == revision), None)


class Hub(ThreadingHTTPServer):
    """What it holds, and every request it saw."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []


class RefusedError(Exception):
    """Answered with a status and the code by which the client knows what is wrong."""

    def __init__(self, status: int, code: str = "", **body: str) -> None:
        self.status, self.code, self.body = status, code, body


class Handler(BaseHTTPRequestHandler):
    """One method a route."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 (names of http.server)

    def route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.seen.append((self.command, path))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            for method, pattern, handle in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method.split():
                    return handle(self, **found.groupdict())
            raise RefusedError(404)
        except RefusedError as refused:
            code = {"X-Error-Code": refused.code} if refused.code else {}
            self.answer(json.dumps(refused.body).encode(), refused.status, code)

    def answer(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def tell(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    @property
    def authorized(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, name: str, writing: bool = False) -> Repository:
        if writing and not self.authorized:
            raise RefusedError(401)
        found = self.server.repositories.get(name)
        if found is None or (found.private and not self.authorized):
            raise RefusedError(404 if self.authorized else 401, "RepoNotFound")
        return found

    def commit(self, name: str, revision: str) -> Commit:
        found = self.repository(name).find(revision)
        if found is None:
            raise RefusedError(404, "RevisionNotFound")
        return found

    def create(self) -> None:
        if not self.authorized:
            raise RefusedError(401)
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if name.startswith("others/"):
            raise RefusedError(403)
        url = f"{self.server.url}/{name}"
        if name in self.server.repositories:
            raise RefusedError(409, url=url)
        private = asked.get("private") or asked.get("visibility") == "private"
        made = Repository(bool(private), {"main": [Commit("0" * 40, "initial commit", {})]})
        self.server.repositories[name] = made
        self.tell({"url": url})

    def branch(self, name: str, revision: str) -> None:
        branches = self.repository(name, writing=True).branches
        if revision in branches:
            raise RefusedError(409)
        branches[revision] = list(branches["main"])
        self.tell({})

    def check_card(self) -> None:
        content = json.loads(self.body)["content"]
        front = yaml.safe_load(content.split("---\n")[1])
        self.tell({"errors": [] if isinstance(front, dict) else [{"message": "no front matter"}], "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        if self.repository(name, writing=True).find(revision) is None:
            raise RefusedError(404, "RevisionNotFound")
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
        self.tell({"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]})

    def lfs_batch(self, name: str) -> None:
        self.repository(name, writing=True)
        wanted = json.loads(self.body)["objects"]
        actions = [{"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}} for one in wanted]
        objects = [{**one, "actions": action} for one, action in zip(wanted, actions, strict=True)]
        self.tell({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusedError(422)
        self.server.objects[oid] = self.body
        self.answer(b"")

    def make_commit(self, name: str, revision: str) -> None:
        repository = self.repository(name, writing=True)
        before = self.commit(name, revision)
        lines = [json.loads(line) for line in self.body.splitlines()]
        files, message = dict(before.files), ""
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "deletedFile":
                del files[value["path"]]
            else:
                files[value["path"]] = self.server.objects[value["oid"]]
        sha = hashlib.sha1(self.body + before.sha.encode()).hexdigest()
        repository.branches[revision].append(Commit(sha, message, files))
        self.tell({"success": True, "commitOid": sha, "commitUrl": f"{self.server.url}/{name}/commit/{sha}"})

    def info(self, name: str, revision: str | None = None) -> None:
        commit = self.commit(name, revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        private = self.repository(name).private
        self.tell({"_id": "1", "id": name, "sha": commit.sha, "private": private, "siblings": siblings, "tags": []})

    def tree(self, name: str, revision: str) -> None:
        files = self.commit(name, revision).files
        self.tell([{"type": "file", "path": path, "size": len(c), "oid": blob_id(c)} for path, c in files.items()])

    def resolve(self, name: str, revision: str, path: str) -> None:
        commit = self.commit(name, revision)
        if path not in commit.files:
            raise RefusedError(404, "EntryNotFound")
        content = commit.files[path]
        self.answer(content, headers={"ETag": f'"{blob_id(content)}"', "X-Repo-Commit": commit.sha})


def blob_id(content: bytes) -> str:
    """git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


API = f"/api/models/{REPOSITORY}"
ROUTES = (
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.check_card),
    ("POST", f"{API}/branch/(?P<revision>.+)", Handler.branch),
    ("POST", f"{API}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/{REPOSITORY}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]+)", Handler.lfs_put),
    ("POST", f"{API}/commit/(?P<revision>.+)", Handler.make_commit),
    ("GET", f"{API}/revision/(?P<revision>.+)", Handler.info),
    ("GET", f"{API}/tree/(?P<revision>[^/]+)/?", Handler.tree),
    ("GET", API, Handler.info),
    ("GET HEAD", f"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
)


@contextmanager
def running() -> Iterator[Hub]:
    """A hub on a free port of this machine, for the time of the block."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()

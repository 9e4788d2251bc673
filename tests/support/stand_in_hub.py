"""A small HTTP server with the hub's endpoints that `huggingface_hub` uses, and faults on demand."""

import hashlib
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "1"


class Hub:
    """Repositories as {name: {file: bytes}}.

    Attributes:
        gated: repositories behind a licence.
        accepted: tokens whose owners accepted all licences.
        tokens: tokens that the hub knows.
        faults: (repository, file) -> list of "truncate", "drop", "stall", "corrupt", "refuse"; each GET uses one up.
        in_git: suffixes of small files, which are kept in git itself and listed without sha256.
        log: (method, path, range) of every request.
    """

    def __init__(self, repositories, datasets=()):
        self.repositories = repositories
        self.datasets = set(datasets)
        self.gated, self.accepted, self.tokens = set(), set(), {"hf_known"}
        self.faults = {}
        self.in_git = {".json", ".txt"}
        self.log = []
        self.go_on = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    def gets(self, file):
        return [(path, span) for method, path, span in self.log if method == "GET" and path.endswith(file)]

    def answer(self, request):
        path = urllib.parse.unquote(request.path.split("?")[0]).strip("/")
        self.log.append((request.command, path, request.headers.get("Range")))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        parts = path.split("/")
        if parts[0] == "api":
            return self._api(request, parts[1], parts[2:], body)
        if parts[0] == "datasets":
            parts = parts[1:]
        name, file = "/".join(parts[:2]), "/".join(parts[4:])
        return self._file(request, name, file)

    def _api(self, request, kind, rest, body):
        if kind not in ("models", "datasets"):
            return send(request, 404, {"error": "not spoken here"})
        name, verb = "/".join(rest[:2]), rest[2] if len(rest) > 2 else ""
        if name not in self.repositories or (kind == "datasets") != (name in self.datasets):
            return send(request, 401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        if verb == "auth-check":
            return send(request, 200, {}) if self._may(request, name) else refuse(request, self._token(request))
        if verb == "paths-info":
            asked = (
                json.loads(body)["paths"] if body.startswith(b"{") else urllib.parse.parse_qs(body.decode())["paths"]
            )
            return send(request, 200, [self._entry(name, f) for f in asked if f in self.repositories[name]])
        if verb == "tree":
            folder = "/".join(rest[4:])
            return send(
                request, 200, [self._entry(name, f) for f in self.repositories[name] if f.startswith(folder + "/")]
            )
        siblings = [{"rfilename": f, **self._entry(name, f)} for f in self.repositories[name]]
        gated = "manual" if name in self.gated else False
        return send(request, 200, {"id": name, "sha": COMMIT, "gated": gated, "siblings": siblings})

    def _entry(self, name, file):
        data = self.repositories[name][file]
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        entry = {"type": "file", "path": file, "size": len(data), "oid": blob, "blobId": blob}
        if not any(file.endswith(suffix) for suffix in self.in_git):
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "sha256": sha256, "size": len(data), "pointerSize": 134}
        return entry

    def _token(self, request):
        return (request.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _may(self, request, name):
        return name not in self.gated or self._token(request) in self.accepted

    def _file(self, request, name, file):
        if not self._may(request, name):
            return refuse(request, self._token(request))
        data = self.repositories.get(name, {}).get(file)
        if data is None:
            return send(request, 404, {}, {"X-Error-Code": "EntryNotFound"})
        entry = self._entry(name, file)
        etag = entry["lfs"]["sha256"] if "lfs" in entry else entry["oid"]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if request.command == "HEAD":
            return send(request, 200, data, headers)
        faults = self.faults.get((name, file), [])
        fault = faults.pop(0) if faults else None
        if fault == "refuse":
            return refuse(request, self._token(request))
        if fault == "corrupt":
            data = bytes([data[0] ^ 1]) + data[1:]
        start, status = 0, 200
        if span := request.headers.get("Range"):
            start, status = int(span.removeprefix("bytes=").split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = start + (len(data) - start) // 2 if fault in ("truncate", "drop", "stall") else len(data)
        # A truncated file's Content-Length is that of its part; a dropped connection declares the whole and stops.
        size = (cut if fault == "truncate" else len(data)) - start
        request.send_response(status)
        for key, value in {**headers, "Content-Length": str(size)}.items():
            request.send_header(key, value)
        request.end_headers()
        request.wfile.write(data[start:cut])
        if fault == "stall":
            self.go_on.wait(30)
        if fault in ("drop", "stall"):
            request.close_connection = True


def refuse(request, token):
    return send(
        request, 403 if token else 401, {"error": "gated"}, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"}
    )


def send(request, status, answer, headers=None):
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    request.send_response(status)
    for key, value in (headers or {}).items():
        request.send_header(key, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)

"""An S3 server on this machine, moto's, whose answers can be spoilt."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.s3.models import S3Backend, s3_backends
from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bucket"
BROKEN = "500 Internal Server Error"


@dataclass
class Fault:
    """What is done to requests of a method whose address has a text.

    Attributes:
        times: how many of them; each request is tried several times by the client.
        after: the request is carried out, and only its answer is lost.
        before: called before the request is carried out.
    """

    method: str
    address: str
    times: int = 10**6
    status: str | None = BROKEN
    after: bool = False
    before: Callable[[], None] = field(default=lambda: None)


def _objects() -> S3Backend:
    """What the server keeps now."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


class _Quiet(WSGIRequestHandler):
    """Answers, and writes no log."""

    def log_request(self, *_: object) -> None: ...


class Store:
    """A server, and the faults that it has now."""

    def __init__(self) -> None:
        self._application = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What makes clients find it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _serve(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        address = environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "")
        self.requests.append((environ["REQUEST_METHOD"], address))
        for fault in self.faults:
            if fault.times and fault.method == environ["REQUEST_METHOD"] and fault.address in address:
                fault.times -= 1
                fault.before()
                if fault.status is not None:
                    if fault.after:
                        list(self._application(environ, lambda *_: None))
                    start_response(fault.status, [("Content-Length", "0")])
                    return [b""]
        return self._application(environ, start_response)

    @contextmanager
    def with_fault(self, fault: Fault) -> Iterator[Fault]:
        """Have a fault for a while; yields it."""
        self.faults = [fault]
        try:
            yield fault
        finally:
            self.faults = []

    def put_folder(self, folder: Path, place: str) -> str:
        """Have the files of a folder, such as a run, at a place like `bucket/run`; returns its URI.

        Without requests: those of one file take longer than to read it.
        """
        bucket, _, key = place.partition("/")
        for file in folder.rglob("*"):
            if file.is_file():
                _objects().put_object(bucket, f"{key}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        return f"s3://{place}"

    def empty(self) -> None:
        """Remove all objects, and make the bucket."""
        self.faults, self.requests = [], []
        moto_api_backend.reset()
        _objects().create_bucket(BUCKET, "us-east-1")

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()

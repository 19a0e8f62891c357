"""The services that the cases ask: given by their URLs, or private ones that the suite starts and ends.

A case names a profile, a service with certain settings:

    plain   nothing special
    queue   no asynchronous workers of its own, at most 40 tasks of 2 MiB, so that /tasks can be looked at in peace
    lease   the same once more, for the case that waits until a reservation expires
    auth    JWT_AUTH_KEY=conformance-service-key
    small   256 MiB for all functions together, two calls may wait
"""

import contextlib
import http.client
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "integration"))

import harness  # noqa: E402  (the folder has to be known first)

SERVICE_KEY = "conformance-service-key"
PROFILES = ("plain", "queue", "lease", "auth", "small")
SETTINGS = {
    "plain": {},
    "queue": {"FERRITE_ASYNC_WORKERS": "0", "FERRITE_MAX_TASKS": "40", "FERRITE_MAX_TASK_BYTES": "2MiB"},
    "lease": {"FERRITE_ASYNC_WORKERS": "0"},
    "auth": {"JWT_AUTH_KEY": SERVICE_KEY},
    "small": {"FERRITE_MEMORY_TOTAL": "256MiB", "FERRITE_MAX_WAITING": "2"},
}


class Given:
    """A service at a URL."""

    socket_path = None

    def __init__(self, url):
        parts = urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme != "http" or parts.path.strip("/"):
            sys.exit(f"conformance: {url}: expected http://HOST:PORT")
        self.host, self.port = parts.hostname, parts.port or 80

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def connection(self, timeout):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def raw_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout=timeout)


class Private(Given):
    """A ferrited of our own, with what a URL cannot give: its UNIX socket, its log, its end."""

    def __init__(self, settings):
        self.service = harness.Service(environment=settings)
        super().__init__(f"http://127.0.0.1:{self.service.port}")
        self.socket_path = self.service.socket_path

    def import_images(self, archives):
        for name, archive in archives:
            self.service.import_image(name, archive)

    def log(self):
        return self.service.log()


@contextlib.contextmanager
def own_service(settings):
    """A private service beside those of the profiles, without images, for one case."""
    private = Private(settings)
    with private.service:
        yield private


class Services:
    """All services of a run; leaving it ends the private ones, the last one first, and audits what they left."""

    def __init__(self, urls, profiles, archives):
        self.urls, self.profiles, self.archives = urls, profiles, archives
        self.found = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for profile in self.profiles:
                if self.urls:
                    if profile in self.urls:
                        self.found[profile] = Given(self.urls[profile])
                    continue
                private = Private(SETTINGS[profile])
                stack.enter_context(private.service)
                private.import_images(self.archives)
                self.found[profile] = private
            self.stack = stack.pop_all()
        return self.found

    def __exit__(self, *problem):
        return self.stack.__exit__(*problem)

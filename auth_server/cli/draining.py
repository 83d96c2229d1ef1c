"""gunicorn's threaded worker, with a port that is closed as soon as it stops to accept."""

from gunicorn.workers.gthread import ThreadWorker


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """While requests in flight are finished, new connections are refused; they would wait for nobody otherwise."""

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                listener.close()

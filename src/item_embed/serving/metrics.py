"""What is counted and timed, as Prometheus reads it."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one service, in a registry of their own.

    Examples:
        >>> metrics = Metrics()
        >>> metrics.answered("/health", "GET", 200, 0.001)
        >>> b'item_requests_total{method="GET",route="/health",status="200"} 1.0' in metrics.text()
        True
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter("item_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "item_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self.under_way = Gauge("item_requests_under_way", "Requests being answered.", registry=self.registry)
        self.batch = Histogram(
            "item_encoder_batch_products", "Products encoded together.", buckets=_SIZES, registry=self.registry
        )
        self.encoder = Histogram(
            "item_encoder_seconds", "Time to encode a batch.", buckets=_SECONDS, registry=self.registry
        )

    def queue(self, length: Callable[[], int]) -> None:
        """Tell how many products wait for the encoder."""
        gauge = Gauge("item_encoder_queue_products", "Products that wait for the encoder.", registry=self.registry)
        gauge.set_function(length)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: as it is declared, not as it was asked: there are few.
            method: HTTP's.
            status: of the response.
            seconds: from the request's head to the end of the response.
        """
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def encoded(self, products: int, seconds: float) -> None:
        """Count a batch of the encoder."""
        self.batch.observe(products)
        self.encoder.observe(seconds)

    def text(self) -> bytes:
        """All of them, in Prometheus' format."""
        return generate_latest(self.registry)

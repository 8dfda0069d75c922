from item_embed.serving.metrics import Metrics


def test_each_service_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.answered("/v1/search", "POST", 200, 0.02)
    one.encoded(7, 0.3)
    one.queue(lambda: 5)
    text = one.text().decode()
    for line in (
        'item_requests_total{method="POST",route="/v1/search",status="200"} 1.0',
        'item_request_seconds_bucket{le="0.025",route="/v1/search"} 1.0',
        'item_request_seconds_bucket{le="0.01",route="/v1/search"} 0.0',
        "item_encoder_batch_products_sum 7.0",
        'item_encoder_batch_products_bucket{le="4.0"} 0.0',
        "item_encoder_seconds_count 1.0",
        "item_encoder_queue_products 5.0",
    ):
        assert line in text.splitlines()
    assert "/v1/search" not in other.text().decode()

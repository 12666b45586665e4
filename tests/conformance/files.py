"""Firmware and logs for the cases about them."""

from __future__ import annotations

from typing import Any

from tests.conformance.bench import Bench
from tests.pki import pki

IMAGE = b"firmware\n" * 1000
LOG = b"line\n" * 5000


def certificate() -> str:
    """A maker's, PEM."""
    return pki().station.pem


async def new_image(bench: Bench, *, signed: bool = False, version: str = "2.0") -> Any:
    """A firmware image with its file, as the API shows it."""
    signature = {"signature": "c2lnbmVk", "signing_certificate": certificate()} if signed else {}
    made = await bench.api("POST", "/firmware", {"version": version} | signature, status=201)
    return await put_image(bench, made["image_id"], IMAGE)


async def put_image(bench: Bench, image_id: str, content: Any, *, status: int = 200) -> Any:
    """Upload an image's file; the API's answer."""
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/firmware/{image_id}/file"
    headers = {"Authorization": f"Bearer {bench.token}"}
    async with bench.http.put(url, data=content, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def download(bench: Bench, transfer_id: str, *, status: int = 200) -> bytes:
    """What a station uploaded, as an operator gets it."""
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/transfers/{transfer_id}/file"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
        assert answer.status == status, await answer.text()
        return await answer.read()

"""Files on their way from a page's process to its browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from textual_serve.download_manager import DOWNLOAD_CHUNK_SIZE, DownloadManager

STALLED_SECONDS = 20.0


class Downloads(DownloadManager):
    """textual-serve's, but that one which stalls does not pass for a whole one, and none outlives its process."""

    async def download(self, delivery_key: str) -> AsyncGenerator[bytes, None]:
        """The pieces of a file. Raises TimeoutError or ConnectionError where its process does not send the
        rest."""
        wanted = self._active_downloads[delivery_key]
        ask: dict[str, str | int | bool | None]
        ask = {"type": "deliver_chunk_request", "key": delivery_key, "size": DOWNLOAD_CHUNK_SIZE, "name": wanted.name}
        try:
            while await wanted.app_service.send_meta(ask):
                async with asyncio.timeout(STALLED_SECONDS):
                    chunk = await wanted.incoming_chunks.get()
                if chunk is None:
                    raise ConnectionError("its process has ended")
                if not chunk:
                    break
                yield chunk
        finally:
            self._active_downloads.pop(delivery_key, None)

    async def cancel_app_downloads(self, app_service_id: str) -> None:
        await super().cancel_app_downloads(app_service_id)
        kept = {k: d for k, d in self._active_downloads.items() if d.app_service.app_service_id != app_service_id}
        self._active_downloads = kept

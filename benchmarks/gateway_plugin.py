"""The plugin of hosting.py, and a page: what the bots of gateway.py load."""

from __future__ import annotations

import hosting_plugin  # noqa: F401
import nonebot
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app: FastAPI = nonebot.get_app()


@app.get("/hello")
async def _hello() -> PlainTextResponse:
    return PlainTextResponse("hello world")

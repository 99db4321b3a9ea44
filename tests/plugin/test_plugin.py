"""The plugin in nonebug's NoneBot: metadata, settings, startup, callbacks, shutdown."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import nonebot
import pytest
from nonebot.plugin import Plugin
from nonebug import App
from pydantic import BaseModel

from liteyuki_core.comm import Channel, get_channel
from liteyuki_core.errors import ChannelClosed
from liteyuki_core.frameworks.nonebot import Mixin
from tests.conftest import DEADLINE
from tests.pair import Pair


def main_end(pair: Pair, name: str) -> Channel[Any]:
    """Return the main process's end of a channel."""
    return Channel._of(pair.main.get(name))


async def soon(event: asyncio.Event) -> None:
    """Wait for an event."""
    await asyncio.wait_for(event.wait(), DEADLINE)


def test_metadata_is_complete(plugin: Plugin) -> None:
    """What NoneBot's store asks for is there: it says what the plugin is and how it is used."""
    metadata = plugin.metadata
    assert metadata is not None
    assert metadata.name
    assert metadata.description
    assert 'require("nonebot_plugin_liteyuki_comm")' in metadata.usage
    assert metadata.type == "library"
    assert metadata.homepage is not None
    assert metadata.homepage.startswith("https://github.com/")
    assert metadata.config is not None
    assert issubclass(metadata.config, BaseModel)
    assert metadata.supported_adapters is None
    assert metadata.get_supported_adapters() is None


def test_settings_come_from_nonebot(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field has the plugin's prefix and a default, and NoneBot's configuration sets it."""
    from nonebot_plugin_liteyuki_comm.config import Config

    assert plugin.metadata is not None
    assert plugin.metadata.config is Config
    assert all(name.startswith("liteyuki_comm_") for name in Config.model_fields)
    assert nonebot.get_plugin_config(Config) == Config()
    monkeypatch.setattr(
        nonebot.get_driver().config, "liteyuki_comm_require_host", "true", raising=False
    )
    assert nonebot.get_plugin_config(Config).liteyuki_comm_require_host is True


def test_requiring_it_twice_is_fine(plugin: Plugin) -> None:
    """A second `require` gives the same module, whose names are the core's, but for one."""
    module = nonebot.require("nonebot_plugin_liteyuki_comm")
    assert module is plugin.module
    assert nonebot.require("nonebot_plugin_liteyuki_comm") is module
    from liteyuki_core import comm, errors, log

    for name in set(module.__all__) - {"wait_bot"}:
        home = log if name == "logger" else comm if name in comm.__all__ else errors
        assert getattr(module, name) is getattr(home, name)


async def test_callbacks_run_on_nonebots_loop(plugin: Plugin, app: App, host: Pair) -> None:
    """A message that came before startup waits for it; its callback runs on NoneBot's loop."""
    places = []
    arrived = asyncio.Event()

    @get_channel("w-passive").on_receive()
    async def callback(data: str) -> None:
        places.append((data, asyncio.get_running_loop(), threading.get_ident()))
        arrived.set()

    main_end(host, "w-passive").send("early")
    main_end(host, "w-active").send("and this after it")
    assert await get_channel("w-active").async_receive(DEADLINE) == "and this after it"
    assert not places
    here = (asyncio.get_running_loop(), threading.get_ident())
    async with app.test_server():
        await soon(arrived)
        arrived.clear()
        main_end(host, "w-passive").send("late")
        await soon(arrived)
    assert places == [("early", *here), ("late", *here)]


async def test_callbacks_without_parentheses(plugin: Plugin, app: App, host: Pair) -> None:
    """They run on NoneBot's loop too, also those that came before it; a filter filters."""
    got: list[tuple[str, str, int]] = []

    @get_channel("w-passive").on_receive
    async def callback(data: str) -> None:
        got.append(("async", data, threading.get_ident()))

    @get_channel("w-passive").on_receive(str.isupper)
    async def filtered(data: str) -> None:
        got.append(("filtered", data, threading.get_ident()))

    here = threading.get_ident()
    main_end(host, "w-passive").send("early")
    async with app.test_server():
        main_end(host, "w-passive").send("LATE")
        while len(got) < 3:
            await asyncio.sleep(0.01)
    assert got == [
        ("async", "early", here),
        ("async", "LATE", here),
        ("filtered", "LATE", here),
    ]


async def test_sync_callbacks_do_not_block_nonebots_loop(
    plugin: Plugin, app: App, host: Pair
) -> None:
    """A sync callback runs in a worker thread, while the loop goes on."""
    go_on = threading.Event()
    ended = threading.Event()

    @get_channel("w-active").on_receive()
    def callback(data: str) -> None:
        assert go_on.wait(DEADLINE)
        ended.set()

    async with app.test_server():
        main_end(host, "w-active").send("x")
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.to_thread(ended.wait, DEADLINE)


async def test_shutdown_wakes_receivers(plugin: Plugin, app: App, host: Pair) -> None:
    """When NoneBot shuts down, threads and tasks that wait in a receive get ChannelClosed."""
    active, passive = get_channel("w-active"), get_channel("w-passive")
    async with app.test_server():
        waiting = [
            asyncio.create_task(asyncio.to_thread(active.receive)),
            asyncio.create_task(passive.async_receive()),
        ]
        main_end(host, "w-active").send("one")
        assert await asyncio.wait_for(waiting[0], DEADLINE) == "one"
        waiting[0] = asyncio.create_task(asyncio.to_thread(active.receive))
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
    done, pending = await asyncio.wait(waiting, timeout=DEADLINE)
    assert not pending
    assert {type(task.exception()) for task in done} == {ChannelClosed}
    with pytest.raises(ChannelClosed):
        active.receive()


async def test_a_startup_hook_that_waits_lets_nonebot_start(
    plugin: Plugin, app: App, host: Pair
) -> None:
    """Under the mixin a waiting hook is left running, and ends with NoneBot."""
    told: list[object] = []
    active = get_channel("w-active")

    async def serve() -> None:
        if ended.is_set():
            return  # Hooks can't be taken back, and other tests start this NoneBot too.
        try:
            while True:
                told.append(await active.async_receive())
                served.set()
        except ChannelClosed:
            ended.set()
            raise

    served, ended = asyncio.Event(), asyncio.Event()
    driver = nonebot.get_driver()
    assert isinstance(driver, Mixin)
    assert driver.on_startup(serve) is serve
    async with app.test_server():
        assert not told
        main_end(host, "w-active").send("one")
        await soon(served)
    await soon(ended)
    assert told == ["one"]

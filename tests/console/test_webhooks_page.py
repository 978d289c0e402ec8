"""The page of webhooks: a secret is shown once, what was given up can be sent again, everybody can use it."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web
from console.desk import ROUTES, Desk, run_desk, violations

from vittne.appliance.api import webhooks
from vittne.appliance.console.webhooks import PAGES
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.table import Delivery, WebhookTable

LOOK = os.environ.get("VITTNE_TEST_PICTURES", "")  # a folder, to look at the pages


def test_a_webhook_is_made_and_what_was_given_up_is_sent_again(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.add_user("ed", "engineer")
        page = await desk.log_in("ed", "/settings/webhooks")
        assert "Nobody is told anything yet" in await page.content()
        assert await violations(page) == []
        await page.click("text=New webhook")
        await page.fill("#f-name", "ticket <b>system</b>")
        await page.fill("#f-url", "https://10.0.0.1/in")
        await page.click("button:has-text('Make it')")
        await page.wait_for_selector("[role=alert]:has-text('not on the internet')")
        assert await violations(page) == []
        if LOOK:
            await page.screenshot(path=f"{LOOK}/webhook-new.png")
        desk.errors.clear()  # the browser tells of the 422 itself
        await page.fill("#f-url", "https://hooks.example.com/in")
        await page.click("button:has-text('Make it')")
        await page.wait_for_selector("#secret code:has-text('whsec_')")
        await page.click("text=I have it")
        await page.wait_for_selector("td:has-text('ticket <b>system</b>')")
        assert "whsec_" not in await page.content()

        table = WebhookTable(desk.registrar.catalogue)
        (hook,) = table.all()
        assert hook.owner_kind == "user"
        table.add(
            [Delivery("msg_1", hook.id, "alarm.raised", {}, 1, "dead", 11, None, 500, "the server answered 500", 2)]
        )
        await page.reload()
        assert "given up" in await page.content()
        assert await violations(page) == []
        if LOOK:
            await page.screenshot(path=f"{LOOK}/webhooks.png", full_page=True)
        await page.click("button:has-text('Send again')")
        await page.wait_for_selector("section:has-text('Messages') td:has-text('waiting')")
        assert table.delivery("msg_1").state == "waiting"
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390

    def fill(app: web.Application) -> None:
        app[webhooks.WEBHOOKS] = WebhooksConfig()

    run_desk(tmp_path, use, routes=(*ROUTES, *webhooks.ROUTES), pages=PAGES, fill=fill)

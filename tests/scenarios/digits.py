"""Keys pressed during a call, in every form in which they travel."""

from __future__ import annotations

from builders import Scenario, sdp
from scenarios.basic import pair

KPML = """<?xml version="1.0" encoding="UTF-8"?>
<kpml-response xmlns="urn:ietf:params:xml:ns:kpml-response" version="1.0"
 code="200" text="OK" digits="{key}" tag="dtmf"/>
"""


def telephone_events(keys: str = "1234#") -> Scenario:
    """RFC 4733 events in the caller's stream, half a second apart."""
    scenario = Scenario("telephone events")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    presses = [(1.0 + 0.5 * i, key) for i, key in enumerate(keys)]
    seconds = 2.0 + 0.5 * len(keys)
    scenario.voice(alice, bob, answered + 0.01, seconds, call=dialog.call, keys=presses)
    scenario.voice(bob, alice, answered + 0.02, seconds, call=dialog.call)
    dialog.bye(answered + seconds + 0.1)
    return scenario


def only_telephone_events() -> Scenario:
    """The caller is muted and sends nothing but key presses; the callee talks."""
    scenario = Scenario("only telephone events")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    presses = [(0.5, "4"), (1.0, "2"), (2.0, "#")]
    scenario.voice(alice, bob, answered + 0.01, 3.0, call=dialog.call, keys=presses, only_keys=True)
    scenario.voice(bob, alice, answered + 0.02, 3.0, call=dialog.call)
    dialog.bye(answered + 3.1)
    return scenario


def in_sip(form: str = "dtmf-relay") -> Scenario:
    """Keys in SIP: INFO with application/dtmf-relay or application/dtmf, or NOTIFY with KPML (RFC 4730)."""
    scenario = Scenario(f"keys by {form}")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    codecs = ("PCMU",)
    offer, answer = sdp(alice.ip, alice.rtp_port, codecs), sdp(bob.ip, bob.rtp_port, codecs)
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 3.0)
    keys = "90#"
    for i, key in enumerate(keys):
        at = answered + 0.5 + 0.5 * i
        if form == "dtmf-relay":
            body = f"Signal={key}\r\nDuration=160\r\n".encode()
            dialog.exchange(at, "INFO", body=body, content_type="application/dtmf-relay")
        elif form == "dtmf":
            number = {"*": "10", "#": "11"}.get(key, key)
            dialog.exchange(at, "INFO", body=number.encode(), content_type="application/dtmf")
        else:
            headers = [("Event", "kpml"), ("Subscription-State", "active")]
            body = KPML.format(key=key).encode()
            dialog.exchange(at, "NOTIFY", body=body, content_type="application/kpml-response+xml", headers=headers)
    dialog.bye(answered + 3.1)
    dialog.call.digits["caller"] = keys
    return scenario

"""What alerting promises where others are known to fail: a real process, stream server and receiver.

Each failure is named by the project and the number of the issue that tells of it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.times import format_time
from tests.conftest import stream_server
from tests.integration.alerting_place import SECOND, Place, Site, at, placed
from tests.integration.alerting_service import until

GOOD, BAD = 20.0, 31.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory: Path = tmp_path_factory.mktemp("alerting")
    database = f"sqlite+aiosqlite:///{directory}/alerting.sqlite3"
    with stream_server(directory) as server, placed(server, database) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    async with at(place) as site:
        yield site


# kapacitor 744: alerts were lost, or came once more, when it was started again.
async def test_kill_minus_nine_in_each_state_of_an_alert_loses_and_doubles_nothing(site: Site) -> None:
    waits, fires, known, told = devices = ("waiting", "burning", "known", "being-told")
    await site.rule(waits, **{"for": "2m"})
    await site.rule(fires, known, told)
    await site.say(waits, BAD, at=site.now - 130 * SECOND)
    await site.say(fires, BAD)
    await site.say(known, BAD)
    await site.until_told(fires)
    await site.until_told(known)
    [before] = await site.alerts(known)
    await site.do(before["id"], "acknowledge", comment="on my way")
    site.ear.holding.add(told)
    await site.say(told, BAD)
    await until(lambda: bool(site.ear.held))
    states = {waits: "pending", fires: "firing", known: "firing", told: "firing"}
    ids = {device: (await site.until_state(device, state))[0]["id"] for device, state in states.items()}

    site.place.kill()
    site.ear.holding.clear()
    site.place.start()

    await site.until_told(told)
    [after] = await site.alerts(known)
    assert after["acknowledged"]["by"] == "ada"
    await site.say(waits, BAD)
    await site.until_state(waits, "firing")
    for device in devices:
        await site.say(device, GOOD)
    for device in devices:
        [alert] = await site.until_state(device, "resolved")
        assert alert["id"] == ids[device]
        await until(lambda device=device: [state for *_, state in site.ear.told(device)][-1:] == ["resolved"])  # type: ignore[misc]
        changes = [(alert_id, state) for _, alert_id, state in dict.fromkeys(site.ear.told(device))]
        assert changes == [(ids[device], "firing"), (ids[device], "resolved")], device
    [held, *_] = site.ear.held
    assert {held["id"]} == {body["id"] for _, body in site.ear.heard if body["id"] == held["id"]}
    assert held in [body for _, body in site.ear.heard], "what was being told is told again, the same"


# alertmanager 1860: nobody could say that an alert is known, and it was told again and again.
# thingsboard 13050: a value that stays bad was told of once, and not again after somebody had cleared the alarm.
async def test_a_bad_value_is_told_again_until_it_is_acknowledged_and_fires_anew_once_it_was_resolved(
    site: Site,
) -> None:
    await site.put("receivers/ear", {"type": "webhook", "url": f"{site.ear.url}/ear"})
    await site.put("receivers/boss", {"type": "webhook", "url": f"{site.ear.url}/boss"})
    steps = [{"receivers": ["ear"]}, {"after": "2s", "receivers": ["boss"]}]
    await site.put("chains/upwards", {"steps": steps})
    at_once = {"group_by": ["alertname", "device"], "group_wait": "0s", "group_interval": "0s"}
    chain = {"matchers": ['proof="chain"'], "chain": "upwards"}
    again = {"matchers": ['proof="again"'], "repeat_interval": "1s"}
    await site.put("routing", {"route": at_once | {"receiver": "ear", "routes": [chain, again]}})
    await site.rule("repeated", "noticed", labels={"proof": "again"})
    await site.rule("unnoticed", "climbing", labels={"proof": "chain"})
    for device in ("repeated", "noticed", "unnoticed", "climbing"):
        await site.say(device, BAD)
    for device in ("noticed", "climbing"):
        await site.until_told(device)
        await site.do((await site.alerts(device))[0]["id"], "acknowledge")
    noticed = len(site.ear.told("noticed"))

    await site.until_told("unnoticed", path="/boss")
    await site.until_told("repeated", times=3)
    assert len(site.ear.told("noticed")) <= noticed + 1, "one may have been under way when it was acknowledged"
    assert site.ear.told("climbing", "/boss") == []

    [alert] = await site.alerts("repeated")
    await site.do(alert["id"], "resolve")
    await site.until_state("repeated", "resolved")
    await site.say("repeated", BAD)
    first, second = await site.until_state("repeated", "resolved", "firing")
    assert (first["reason"], second["id"] != first["id"]) == ("operator", True)
    await until(lambda: (second["id"], "firing") in [told[1:] for told in site.ear.told("repeated")])


# thingsboard 14210: alarms were raised where data was lost, or nobody was there to take it.
# thingsboard 8614, 6821: a device that was never heard, or of which one metric alone is missing, was not noticed.
async def test_silence_fires_once_a_device_was_silent_and_never_because_we_were_away(site: Site) -> None:
    speaking, lost, steady = "speaking", "lost", "steady"
    for device in ("silent", "never-heard", speaking, "half-silent"):
        await site.register(device, "chatty", interval=0.5)
    await site.rule("silent", "never-heard", speaking, kind="absence", intervals=3)
    await site.rule("half-silent", kind="absence", metric="humidity", intervals=3)
    await site.rule(lost, steady, **{"for": "2s"})
    await site.say("silent", GOOD)
    await site.say("half-silent", GOOD, metric="humidity")
    await site.say(lost, BAD)
    talking = asyncio.create_task(_talk(site, speaking, "half-silent", steady))
    try:
        await site.until_state(lost, "pending")
        await site.until_state(steady, "pending")
        site.place.kill()
        site.place.start()  # that takes longer than a device may be silent
        for device in ("silent", "never-heard", "half-silent", steady):
            await site.until_state(device, "firing")
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    assert await site.alerts(speaking) == []
    assert [alert["state"] for alert in await site.alerts(lost)] == ["pending"], "one reading alone fires nothing"
    for device in ("silent", "never-heard", "half-silent"):
        assert [alert["no_data"] for alert in await site.alerts(device)] == [True]


async def _talk(site: Site, *devices: str) -> None:
    while True:
        before = site.now
        for device in devices:
            await site.say(device, BAD)
        await site.heard(before)  # so each of them has spoken later than that, however slow all this is
        await asyncio.sleep(0.1)


# thingsboard 7909: alarms stayed open where something else happened to them at the same moment.
async def test_an_alert_ends_whatever_is_done_to_it_at_that_moment(site: Site) -> None:
    devices = [f"contended-{number}" for number in range(12)]
    await site.rule(*devices)
    for device in devices:
        await site.say(device, BAD)
    for device in devices:
        await site.until_state(device, "firing")
        await site.until_told(device)
    ids = {device: (await site.alerts(device))[0]["id"] for device in devices}

    async def act(device: str, what: str) -> None:
        await site.client.post(f"/api/v1/alerts/{ids[device]}/{what}", json={"by": "ada"})  # may come too late

    await asyncio.gather(
        *(site.say(device, GOOD) for device in devices),
        *(act(device, what) for device in devices for what in ("acknowledge", "unacknowledge", "resolve")),
    )
    for device, alert_id in ids.items():
        [alert] = await site.until_state(device, "resolved")
        assert alert["id"] == alert_id
        await until(lambda wanted=(alert_id, "resolved"), device=device: site.ear.told(device)[-1][1:] == wanted)  # type: ignore[misc]


# thingsboard 4207: what came late was taken for what is the case now.
async def test_what_comes_late_neither_fires_nor_ends_an_alert(site: Site) -> None:
    await site.rule("good-now", "bad-now")
    times = [site.now + number for number in range(-3, 3)]
    await site.say("good-now", GOOD, at=times[2])
    await site.say("good-now", BAD, at=times[1])
    await site.say("good-now", BAD, at=times[3])
    await site.say("bad-now", BAD, at=times[2])
    await site.say("bad-now", GOOD, at=times[1])
    await site.say("bad-now", GOOD, at=times[2])
    await site.say("bad-now", GOOD, at=times[3])
    [fired] = await site.until_state("good-now", "firing")
    [ended] = await site.until_state("bad-now", "resolved")
    assert fired["started_at"] == format_time(times[3])
    assert (ended["started_at"], ended["resolved_at"]) == (format_time(times[2]), format_time(times[3]))

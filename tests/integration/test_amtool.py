"""Debian's amtool reads alerting's alerts, and makes and ends silences there."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.conftest import Server, need
from tests.integration.alerting_service import KEY, Bench, benching, receiving, until


class Amtool:
    """Runs amtool as an operator would, with the key in a file."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self._program = need("amtool", "prometheus-alertmanager")
        self._config = directory / "http.yml"
        self._config.write_text(f"authorization: {{credentials: {KEY}}}\n")
        self._url = f"http://127.0.0.1:{bench.environment['ALERTING_PORT']}"

    async def run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self._program,
            f"--alertmanager.url={self._url}",
            f"--http.config.file={self._config}",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    async def json(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(await self.run("--output=json", *arguments))


async def test_amtool_reads_alerts_and_makes_and_ends_silences(stream: Server, tmp_path: Path) -> None:
    with receiving() as receiver:
        async with benching(stream, tmp_path, receiver) as bench:
            await bench.connect()
            async with bench.service():
                amtool = Amtool(bench, tmp_path)
                await bench.add_rule(labels={"site": "north"}, annotations={"summary": "{{ value }} degrees"})
                await bench.publish(35.0)
                await until(lambda: bench.has("firing", 1))
                [alert] = await amtool.json("alert", "query", "site=north")
                assert alert["labels"]["alertname"] == "too hot"
                assert alert["annotations"] == {"summary": "35 degrees"}
                assert (alert["status"]["state"], alert["receivers"]) == ("active", [{"name": "default"}])
                assert await amtool.json("alert", "query", "site=south") == []
                assert "too hot" in await amtool.run("alert", "query")
                made = await amtool.run("silence", "add", "site=~n.*", "--comment=new pumps", "--author=kim")
                silence = made.strip()
                assert await amtool.json("alert", "query") == []
                [muted] = await amtool.json("alert", "query", "--silenced")
                assert muted["status"]["silencedBy"] == [silence]
                [shown] = await amtool.json("silence", "query")
                assert (shown["id"], shown["createdBy"], shown["comment"]) == (silence, "kim", "new pumps")
                await amtool.run("silence", "expire", silence)
                assert await amtool.json("silence", "query") == []
                assert len(await amtool.json("alert", "query")) == 1
                assert len(await amtool.json("silence", "query", "--expired", "--within=1h")) == 1
                await amtool.run("config", "show")
                await amtool.run("cluster", "show")

"""Values that are made only if somebody asks for them, and once."""

from simulators.plan.columns import Columns


def test_nothing_is_made_until_somebody_asks() -> None:
    made: list[int] = []

    def make() -> dict[str, list[float | bool | str | None]]:
        made.append(1)
        return {"temperature": [21.5], "humidity": [40.0]}

    columns = Columns(make)
    assert (columns.made, made) == ({}, [])
    assert list(columns) == ["temperature", "humidity"]
    assert dict(columns.items()) == columns.made == {"temperature": [21.5], "humidity": [40.0]}
    assert (len(columns), made) == (2, [1])

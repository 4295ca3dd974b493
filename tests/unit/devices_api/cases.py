"""Cases of tests that change nothing, run on one service: building it takes longer than all of them together."""

from collections.abc import Awaitable, Callable, Sequence

from tests.unit.devices_api.conftest import Service


def each(
    names: str | tuple[str, ...], cases: Sequence[object]
) -> Callable[[Callable[..., Awaitable[None]]], Callable[[Service], Awaitable[None]]]:
    """Call a test for each case, as `pytest.mark.parametrize` would; an error says for which one."""

    def of(test: Callable[..., Awaitable[None]]) -> Callable[[Service], Awaitable[None]]:
        async def every_case(service: Service) -> None:
            for case in cases:
                values = {names: case} if isinstance(names, str) else dict(zip(names, case, strict=True))  # type: ignore[call-overload]  # a tuple as long as the names
                try:
                    await test(service, **values)
                except BaseException as error:
                    error.add_note(f"the case: {values}")
                    raise

        return every_case

    return of

"""Models by name: those that are shipped, and files of one's own."""

from pathlib import Path

from simulators.models.declared import DeclaredModel
from simulators.models.model import Model
from simulators.models.reading import SpecError, read_spec

_SHIPPED = Path(__file__).parent
_LARGEST = 1 << 20


def shipped() -> list[str]:
    """Name the models that are shipped."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def model(name: str, folder: Path = Path()) -> Model:
    """Give a model that is shipped, or the one of a file, whose name ends with `.toml` and is relative to `folder`.

    Raises SpecError where there is none, or where it cannot be used.
    """
    return _model(name, folder, child=False)


def _model(name: str, folder: Path, *, child: bool) -> Model:
    path = folder / name if name.endswith(".toml") else _SHIPPED / f"{name}.toml"
    if not name.endswith(".toml") and name not in shipped():
        raise SpecError(
            f"there is no model {name!r}: write {', '.join(shipped())}, or the path of a file that ends with .toml"
        )
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: {error.strerror if isinstance(error, OSError) else 'is no UTF-8'}") from None
    if len(text) > _LARGEST:
        raise SpecError(f"{path}: is larger than 1 MiB")
    spec = read_spec(text, str(path))
    if spec.children is None:
        return DeclaredModel(spec)
    if child:
        raise SpecError(f"{path}: it is behind a gateway, and can be none itself")
    try:
        return DeclaredModel(spec, _model(spec.children.model, path.parent, child=True))
    except SpecError as error:
        raise SpecError(f"{path}: children.model: {error}") from None

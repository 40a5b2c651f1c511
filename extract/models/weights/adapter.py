"""What the settings of an adapter say, without its tensors."""

from pathlib import Path

from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object

ADAPTER_CONFIG = "adapter_config.json"


def named_base(folder: Path) -> str | None:
    """The base that the adapter in a folder names; None if it names none.

    Raises:
        HeadflowError: its settings cannot be read, or it names a revision, which is not looked for.
    """
    path = folder / ADAPTER_CONFIG
    settings = read_object(path, str(path))
    named, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if named and revision not in (None, "main") and not Path(str(named)).is_dir():
        raise HeadflowError(
            f"{path} asks for the revision {revision} of {named}: fetch it, and name its folder", setting="model_base"
        )
    return str(named) if named else None

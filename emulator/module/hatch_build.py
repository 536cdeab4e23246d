"""The build hook: compiles the C modules into the package, for wheels and editable installs."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Makes libukeypkcs11.so and libukeyrecord.so parts of ukey_emulator."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, for an editable install only what has changed, and tag the wheel."""
        package = Path(self.root) / "emulator" / "ukey_emulator"
        build = _build_script(Path(self.root) / "emulator" / "module" / "build.py")
        try:
            build.compile_modules(package, self.metadata.version, always=version != "editable")
        except build.BuildError as fault:
            self.app.abort(str(fault))
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append("emulator/ukey_emulator/*.so")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def _build_script(path: Path) -> Any:  # noqa: ANN401
    """Load build.py from beside this file, which is on no import path."""
    spec = importlib.util.spec_from_file_location("ukeylab_build", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""The extension's tests once more, with a build that AddressSanitizer and UndefinedBehaviorSanitizer watch."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from kernel_namespaces import missing

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TESTS = sorted(str(path) for path in HERE.glob("test_extension_*.py"))
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O0"]
"""Not optimized: nothing that is wrong is optimized away, and it is built in a sixth of the time."""
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wvla"]


def extension() -> tuple[list[Path], list[str]]:
    """The extension's sources and macros, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (module,) = project["tool"]["setuptools"]["ext-modules"]
    return [ROOT / source for source in module["sources"]], [
        f"-D{name}={value}" for name, value in module["define-macros"]
    ]


def library(name: str) -> str:
    """The path of a compiler's run-time library."""
    try:
        found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        missing("gcc")
    if not os.path.isabs(found.stdout.strip()):
        missing(name)
    return os.path.realpath(found.stdout.strip())


def compiler(*options: str) -> list[str]:
    """gcc as it builds the extension, every warning an error."""
    include = f"-I{sysconfig.get_paths()['include']}"
    return ["gcc", "-std=gnu11", "-fPIC", *WARNINGS, *options, *extension()[1], include]


def compile_objects(folder: Path, sources: list[Path], *options: str) -> list[str]:
    """The objects of `sources`, in `folder`."""
    done = subprocess.run(
        [*compiler(*options), "-c", *map(str, sources)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [str(folder / f"{source.stem}.o") for source in sources]


def link(target: Path, objects: list[str]) -> Path:
    subprocess.run(["gcc", "-shared", *SANITIZE, "-o", str(target), *objects], check=True)
    return target


def run(target: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """pytest with the extension of `target`."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE.parent), str(HERE))),
        "PYTHONMALLOC": "malloc",
        "PIMPY_EXTENSION": str(target),
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # all that Python does is slow here: it loads what it needs
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "kernel_substitute",
        "-p",
        "no:cacheprovider",
        f"--confcutdir={HERE}",
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the objects of the watched build and the extension made of them, one for all that test at once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sanitized"
    folder.mkdir(exist_ok=True)
    target = folder / "_mroute.so"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            link(target, compile_objects(folder, extension()[0], *SANITIZE))
    return folder


@pytest.mark.parametrize("path", TESTS, ids=lambda path: Path(path).stem)
def test_the_tests_of_the_extension_pass_under_sanitizers(sanitized: Path, path: str) -> None:
    done = run(sanitized / "_mroute.so", [path])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout


def test_the_sanitizers_would_tell(sanitized: Path, tmp_path: Path) -> None:
    """A build with a bound taken away fails: the run above really is watched."""
    decode = next(source for source in extension()[0] if source.name == "decode.c")
    text = decode.read_text()
    broken = tmp_path / "decode.c"
    broken.write_text(text.replace("total <= length ? total : 0;\n}\n\nsize_t sound", "total;\n}\n\nsize_t sound"))
    assert broken.read_text() != text
    (replaced,) = compile_objects(tmp_path, [broken], *SANITIZE, f"-I{decode.parent}", "-Wno-unused-parameter")
    others = [str(path) for path in sanitized.glob("*.o") if path.name != "decode.o"]
    target = link(tmp_path / "_mroute.so", [replaced, *others])
    done = run(target, [str(HERE / "test_extension_decode.py"), "-k", "ipv6_packets"])
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stdout + done.stderr


@pytest.mark.parametrize("level", ["-O2", "-O3"])
def test_no_warning_at_any_level(tmp_path: Path, level: str) -> None:
    """The build above is that of -O0."""
    assert compile_objects(tmp_path, extension()[0], level)

"""The extension's tests once more, with a build that AddressSanitizer and UndefinedBehaviorSanitizer watch."""

from __future__ import annotations

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
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wvla"]


def extension() -> tuple[list[str], list[str]]:
    """The extension's sources and macros, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (module,) = project["tool"]["setuptools"]["ext-modules"]
    return [str(ROOT / source) for source in module["sources"]], [
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


def build(target: Path, *options: str) -> None:
    """Compile the extension; every warning is an error."""
    sources, macros = extension()
    include = f"-I{sysconfig.get_paths()['include']}"
    command = [
        "gcc",
        "-std=gnu11",
        "-shared",
        "-fPIC",
        *WARNINGS,
        *options,
        *macros,
        include,
        "-o",
        str(target),
        *sources,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The watched build."""
    target = tmp_path_factory.mktemp("sanitized") / "_mroute.so"
    build(target, *SANITIZE)
    return target


@pytest.mark.parametrize("path", TESTS, ids=lambda path: Path(path).stem)
def test_the_tests_of_the_extension_pass_under_sanitizers(sanitized: Path, path: str) -> None:
    done = run(sanitized, [path])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout


def test_the_sanitizers_would_tell(tmp_path: Path) -> None:
    """A build with a bound taken away fails: the run above really is watched."""
    sources, _ = extension()
    decode = next(Path(source) for source in sources if source.endswith("decode.c"))
    text = decode.read_text()
    broken = text.replace("total <= length ? total : 0;\n}\n\nsize_t sound", "total;\n}\n\nsize_t sound")
    assert broken != text
    native = tmp_path / "native"
    native.mkdir()
    for path in decode.parent.iterdir():
        (native / path.name).write_text(broken if path == decode else path.read_text())
    target = tmp_path / "_mroute.so"
    include = f"-I{sysconfig.get_paths()['include']}"
    macros = extension()[1]
    command = ["gcc", "-std=gnu11", "-shared", "-fPIC", *SANITIZE, *macros, include, "-o", str(target)]
    subprocess.run([*command, *(str(path) for path in native.glob("*.c"))], check=True)
    done = run(target, [str(HERE / "test_extension_decode.py"), "-k", "ipv6_packets"])
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stdout + done.stderr


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_no_warning_at_any_level(tmp_path: Path, level: str) -> None:
    build(tmp_path / "_mroute.so", level)

"""Classes that are made of named fields: `@frozen` for what never changes, `@define` for what does.

    @frozen
    class Prefix(Value):
        network: Address
        length: int = 0
        marks: dict[str, int] = field(factory=dict, eq=False)

Each name with an annotation is a field, and an argument of `__init__` in that order; `field` says what a plain default
cannot. Objects have slots for the fields, and nothing else. `__post_init__` is called at the end of `__init__`.
Equality, hash and `repr` are not made here: they are those of the base class, see `wire.value`.

This is what attrs and dataclasses are used for elsewhere. They write the text of an `__init__` for each class and
compile it while the program starts, and for the classes of this one that took a third of the whole start. Here it is
compiled when the first object of a class is made: a daemon that has just started makes objects of a few only.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")
_NONE: Any = object()
"""No default; an argument that was not given."""


class Field:
    """One field of a class. `type` is its annotation, as it is written."""

    __slots__ = ("default", "eq", "factory", "init", "name", "repr", "type")

    def __init__(self, default: Any, factory: Callable[[], Any] | None, init: bool, eq: bool, repr: bool) -> None:
        self.default = default
        self.factory = factory
        self.init = init
        self.eq = eq
        self.repr = repr
        self.name = self.type = ""

    def is_optional(self) -> bool:
        """Whether `__init__` can do without it."""
        return self.default is not _NONE or self.factory is not None


@overload
def field(*, default: T, init: bool = True, eq: bool = True, repr: bool = True) -> T: ...
@overload
def field(*, factory: Callable[[], T], init: bool = True, eq: bool = True, repr: bool = True) -> T: ...
@overload
def field(*, init: bool = True, eq: bool = True, repr: bool = True) -> Any: ...
def field(
    *,
    default: Any = _NONE,
    factory: Callable[[], Any] | None = None,
    init: bool = True,
    eq: bool = True,
    repr: bool = True,
) -> Any:
    """What there is to say of a field.

    `factory` makes the default of each object anew. Without `init` it is no argument: it has its default, or none yet.
    `eq` and `repr` are for `Value`: whether two objects differ by it, and whether it is shown.
    """
    return Field(default, factory, init, eq, repr)


@overload
@dataclass_transform(field_specifiers=(field,))
def define(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(field_specifiers=(field,))
def define(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...
def define(cls: Any = None, /, *, kw_only: bool = False) -> Any:
    """Make a class of fields, which may change; `kw_only`: its arguments are given by name."""
    return _build(cls, False, False) if cls is not None else lambda cls: _build(cls, False, kw_only)


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T], /) -> type[T]: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...
def frozen(cls: Any = None, /, *, kw_only: bool = False) -> Any:
    """Make a class of fields that are set once; `kw_only`: its arguments are given by name."""
    return _build(cls, True, False) if cls is not None else lambda cls: _build(cls, True, kw_only)


def is_record(cls: type) -> bool:
    """Whether a class was made by `define` or `frozen`."""
    return hasattr(cls, "__fields__")


def fields(cls: type) -> tuple[Field, ...]:
    """The fields of a class, those of its base classes first; AttributeError for a class that has none."""
    found: tuple[Field, ...] = cls.__fields__  # type: ignore[attr-defined]
    return found


def evolve(record: T, **changes: Any) -> T:
    """Another object of the same class with other values in some fields."""
    for each in fields(type(record)):
        if each.init and each.name not in changes:
            changes[each.name] = getattr(record, each.name)
    return type(record)(**changes)


def _build(cls: Any, is_frozen: bool, kw_only: bool) -> Any:
    """The class again, with slots: a class gets them while it is made, or not at all."""
    inside = dict(cls.__dict__)
    own = []
    for name, annotation in inside.get("__annotations__", {}).items():
        said = inside.pop(name, _NONE)
        one = said if said.__class__ is Field else Field(said, None, True, True, True)
        one.name, one.type = name, annotation
        own.append(one)
    inherited: tuple[Field, ...] = getattr(cls, "__fields__", ())
    inside.pop("__dict__", None)
    inside.pop("__weakref__", None)
    inside.update(
        __qualname__=cls.__qualname__,
        __slots__=tuple([one.name for one in own]),
        __fields__=(*inherited, *own),
        __match_args__=tuple([one.name for one in (*inherited, *own) if one.init]),
    )
    if is_frozen:
        inside.update(__setattr__=_refuse_to_set, __delattr__=_refuse_to_delete)
    made = type(cls)(cls.__name__, cls.__bases__, inside)
    for value in inside.values():
        if isinstance(value, FunctionType) and "__class__" in value.__code__.co_freevars:
            cells = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
            cells["__class__"].cell_contents = made  # what `super()` starts from: all functions of a class share it
            break
    made.__init__ = _init_to_be(made, is_frozen, kw_only)
    return made


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")


_waiting: dict[type, Callable[[], Callable[..., None]]] = {}
"""What compiles the `__init__` of a class, until it is."""


def _init_to_be(cls: Any, is_frozen: bool, kw_only: bool) -> Callable[..., None]:
    """An `__init__` that puts the real one in its place when it is called for the first time."""

    def compile_init() -> Callable[..., None]:
        cls.__init__ = made = _compile_init(cls, is_frozen, kw_only)
        del _waiting[cls]
        return made

    def __init__(self: object, *args: object, **kwargs: object) -> None:
        compile_init()(self, *args, **kwargs)

    _waiting[cls] = compile_init
    return __init__


def prepare() -> None:
    """Compile what is not compiled yet, for a process that has the time now and may be in a hurry later."""
    for compile_init in list(_waiting.values()):
        compile_init()


def _compile_init(cls: Any, is_frozen: bool, kw_only: bool) -> Callable[..., None]:
    """An `__init__` as one would write it by hand."""
    names: dict[str, Any] = {"_NONE": _NONE}
    arguments, lines = ["self", *(["*"] if kw_only else [])], []
    for one in cls.__fields__:
        name = value = one.name
        if one.factory is not None:
            names[f"_new_{name}"] = one.factory
            value = f"_new_{name}() if {name} is _NONE else {name}" if one.init else f"_new_{name}()"
        elif one.default is not _NONE:
            names[f"_default_{name}"] = one.default
            value = name if one.init else f"_default_{name}"
        elif not one.init:
            continue
        if one.init:
            default = "_NONE" if one.factory is not None else f"_default_{name}"
            arguments.append(f"{name}={default}" if one.is_optional() else name)
        if is_frozen:  # past `__setattr__`
            names[f"_set_{name}"] = getattr(cls, name).__set__
            lines.append(f"_set_{name}(self, {value})")
        else:
            lines.append(f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    text = f"def __init__({', '.join(arguments)}):\n " + "\n ".join(lines or ["pass"])
    exec(compile(text, f"<fields of {cls.__qualname__}>", "exec"), names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made

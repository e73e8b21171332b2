"""The oracle and the fake unicast routing, on networks small enough to be judged by eye."""

from __future__ import annotations

from random import Random

from fake_routing import shortest_paths
from oracle import Port, World, flows, rpf_of_all

G = "g"


def world(
    links: dict[str, tuple[int, str]],
    members: str = "",
    dead: str = "",
    passive: tuple[tuple[str, str], ...] = (),
    priority: tuple[tuple[str, int], ...] = (),
) -> World:
    """Links as name -> (cost, routers); the rest by name. Routers later in the alphabet have higher addresses."""
    ports = tuple(
        Port(router, link, dict(priority).get(router, 1), router.encode(), (router, link) in passive)
        for link, (_, routers) in links.items()
        for router in routers
    )
    costs = {link: cost for link, (cost, _) in links.items()}
    alive = frozenset(port.router for port in ports) - set(dead)
    return World(costs, ports, alive, frozenset((link, G) for link in members))


CHAIN = {"s": (1, "a"), "x": (1, "ab"), "y": (1, "bc"), "z": (1, "c")}
SQUARE = {"s": (1, "a"), "w": (1, "ab"), "x": (1, "bd"), "y": (1, "ac"), "z": (1, "cd"), "m": (1, "d")}


def test_a_chain_from_source_to_member() -> None:
    assert flows(world(CHAIN), G, "s") == {"s"}
    assert flows(world(CHAIN, "z"), G, "s") == {"s", "x", "y", "z"}
    assert flows(world(CHAIN, "x"), G, "s") == {"s", "x"}
    assert flows(world(CHAIN, "s"), G, "s") == {"s"}
    assert flows(world(CHAIN, "z"), "other", "s") == {"s"}
    assert flows(world(CHAIN, "z"), G, "nowhere") == set()


def test_a_dead_router_joins_nothing_and_forwards_nothing() -> None:
    assert flows(world(CHAIN, "z", dead="b"), G, "s") == {"s"}
    assert flows(world(CHAIN, "z", dead="a"), G, "s") == {"s"}
    assert flows(world(CHAIN, "z", dead="c"), G, "s") == {"s"}
    assert flows(world(CHAIN, "y", dead="c"), G, "s") == {"s", "x", "y"}


def test_of_two_equal_ways_the_link_that_sorts_first_is_taken() -> None:
    assert flows(world(SQUARE, "m"), G, "s") == {"s", "w", "x", "m"}, "x before z"
    dearer = SQUARE | {"x": (2, "bd")}
    assert flows(world(dearer, "m"), G, "s") == {"s", "y", "z", "m"}


def test_the_dr_serves_the_members_of_a_lan() -> None:
    lan = {"s": (1, "a"), "x": (1, "ab"), "y": (1, "ac"), "m": (1, "bc")}
    assert flows(world(lan, "m"), G, "s") == {"s", "y", "m"}, "c has the higher address"
    assert flows(world(lan, "m", priority=(("b", 2),)), G, "s") == {"s", "x", "m"}
    assert flows(world(lan, "m", dead="c"), G, "s") == {"s", "x", "m"}


def test_who_is_passive_serves_members_beside_the_dr_and_hears_no_joins() -> None:
    lan = {"s": (1, "a"), "x": (1, "ab"), "y": (1, "ac"), "m": (1, "bc")}
    assert flows(world(lan, "m", passive=(("b", "m"),)), G, "s") == {"s", "x", "y", "m"}, "both: there is no Assert yet"
    assert flows(world(CHAIN, "z", passive=(("b", "x"),)), G, "s") == {"s"}


def test_dijkstra_and_bellman_ford_agree() -> None:
    for seed in range(300):
        random = Random(seed)
        routers = [f"r{number}" for number in range(random.randint(1, 9))]
        links = {
            f"l{random.randrange(100)}-{number}": (
                random.choice((1, 1, 2, 7)),
                random.sample(routers, random.randint(0, min(4, len(routers)))),
            )
            for number in range(random.randint(1, 14))
        }
        ports = tuple(Port(router, link, 1, b"") for link, (_, here) in links.items() for router in here)
        one = World({link: cost for link, (cost, _) in links.items()}, ports, frozenset(routers))
        attached = {r: {link: cost for link, (cost, here) in links.items() if r in here} for r in routers}
        for target in links:
            assert shortest_paths(attached, target) == rpf_of_all(one, target), f"seed {seed}"

"""Random stacks, random requests, and a shell that answers late and in any order: what must hold always holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from hypothesis import HealthCheck as Check
from hypothesis import given, settings
from hypothesis import strategies as st

from devctl import lifecycle as lc
from devctl.model import ServiceState as S
from devctl.plan import Condition, Dependency, HealthCheck, RestartMode, RestartPolicy, ServiceSpec, TcpProbe
from tests.lifecycle.world import AT_REST, World, blocks, new_world

# `DEVCTL_EXAMPLES=20000 pytest tests/lifecycle` looks longer.
EXAMPLES = int(os.environ.get("DEVCTL_EXAMPLES", "250"))
THOROUGH = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[Check.too_slow, Check.data_too_large])

NAMES = ("a", "b", "c", "d")
GHOST = "ghost"  # never part of any stack

policies = st.builds(
    RestartPolicy,
    mode=st.sampled_from(RestartMode),
    max_attempts=st.sampled_from([None, 1, 2]),
    initial=st.sampled_from([0.2, 3.0]),
    max=st.just(5.0),
    reset_after=st.sampled_from([2.0, 60.0]),
)
checks = st.builds(
    HealthCheck, st.just(TcpProbe("127.0.0.1:1")), retries=st.integers(1, 2), start_period=st.sampled_from([1.0, 9.0])
)


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, ServiceSpec]:
    """Services in dependency order; edges only go back in it, or to a name that is in no stack."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    specs = {}
    for place, name in enumerate(names):
        targets = draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        if draw(st.integers(0, 15)) == 15:
            targets = [*targets, GHOST]
        edges = tuple(
            Dependency(target, draw(st.sampled_from(Condition)), restart=draw(st.booleans()), required=draw(st.integers(0, 3)) > 0)
            for target in targets
        )
        specs[name] = ServiceSpec(
            name,
            ("true",),
            "true",
            "/",
            depends_on=edges,
            healthcheck=draw(st.none() | checks),
            oneshot=draw(st.integers(0, 3)) == 3,
            restart=draw(policies),
            reuse=draw(st.integers(0, 3)) == 3,
            on_unhealthy=draw(st.sampled_from(["none", "restart"])),
        )
    return specs


some_names = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3).map(tuple)
forks = st.sampled_from(["start", "stop", "restart"])
commands = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 40)),
    st.tuples(st.just("answer"), st.integers(0, 40)),
    st.tuples(st.just("answer"), st.integers(0, 40)),
    st.tuples(st.just("late"), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 1.0, 70.0])),
    st.tuples(st.just("wake"), st.floats(0, 0.99)),
    st.tuples(forks, some_names),
    st.tuples(forks, some_names),
    st.tuples(st.just("replace"), stacks()),
    st.tuples(st.just("shutdown"), st.booleans()),
)


def closure(services: Mapping[str, ServiceSpec], names: tuple[str, ...]) -> tuple[str, ...]:
    found = list(names)
    for name in found:
        found += [edge.service for edge in services[name].depends_on if edge.service in services and edge.service not in found]
    return tuple(found)


def event_of(world: World, kind: str, detail: object) -> lc.Event | None:
    """The event of a command; None when there is nothing of that kind to happen."""
    match kind, detail:
        case (("answer" | "late"), int(number)):
            choices = world.offers() if kind == "answer" else world.late()
            return choices[number % len(choices)] if choices else None
        case "wait", float(seconds):
            world.now += seconds
            return lc.Tick()
        case "wake", float(jitter):
            wake = lc.next_wake(world.stack)
            world.now = max(world.now, wake or 0.0)
            return lc.Tick(jitter)
        case "start", tuple(names):
            present = tuple(name for name in names if name in world.stack.services)
            specs = {name: service.spec for name, service in world.stack.services.items()}
            return lc.Start(present, closure(specs, present))
        case "stop", tuple(names):
            return lc.Stop(names)
        case "restart", tuple(names):
            return lc.Restart(names)
        case "replace", dict(specs):
            services = world.stack.services
            old = {name: service for name, service in services.items() if not service.removed and name in specs}
            start = tuple(name for name in specs if name not in old or not old[name].wanted or old[name].state in AT_REST)
            changed = tuple(name for name in old if name not in start and old[name].spec != specs[name])
            return lc.Replace(specs, start, changed)
        case "shutdown", bool(force):
            return lc.Shutdown(force)
    raise AssertionError(kind)


def play(world: World, history: list[tuple[str, object]]) -> Iterator[lc.Event]:
    for kind, detail in history:
        event = event_of(world, kind, detail)
        if event is not None:
            world.take(event)
            yield event


def calm_down(world: World) -> None:
    """The shell answers everything, kindly, until it has nothing left to say and no timer is due."""
    for _ in range(400):
        expected = [event for event in world.offers() if is_owed(world, event)]
        if expected:
            world.take(expected[0])
        elif (wake := lc.next_wake(world.stack)) is not None:
            world.now = max(world.now, wake)
            world.take(lc.Tick())
        else:
            return
    raise AssertionError("it never comes to rest")


def is_owed(world: World, event: lc.Event) -> bool:
    match event:
        case lc.Spawned() | lc.NotAdopted():
            return True
        case lc.Exited(name, instance, exit):
            service = world.stack.services[name]
            done = service.spec.oneshot and exit.code == 0
            return exit.code == 0 and (world.trees[name, instance].stopping or done)
        case lc.Gone(name, instance):
            return not world.trees[name, instance].leader
        case lc.Healthy(name):
            return world.stack.services[name].state in (S.STARTING, S.UNHEALTHY)
    return False


@THOROUGH
@given(stacks(), st.lists(commands, max_size=60))
def test_random_histories(specs: dict[str, ServiceSpec], history: list[tuple[str, object]]) -> None:
    """Whatever happens, no invariant breaks; when calm returns, everything has come to an end of its own."""
    world = new_world(specs)
    world.take(lc.Start(tuple(specs)))
    for _ in play(world, history):
        pass
    calm_down(world)
    services = world.stack.services
    for service in services.values():
        assert service.state not in (S.STARTING, S.STOPPING, S.BACKOFF, S.UNHEALTHY)
        if service.state is S.WAITING:
            awaited = {services[edge.service].state for edge in service.spec.depends_on if blocks(edge, services)}
            assert awaited & {S.READY, S.WAITING}, "only what runs on and on, and is to complete, may be waited for now"


@THOROUGH
@given(stacks(), st.lists(commands, max_size=40), st.booleans(), st.lists(commands, max_size=20))
def test_after_a_shutdown(
    specs: dict[str, ServiceSpec], history: list[tuple[str, object]], force: bool, after: list[tuple[str, object]]
) -> None:
    """Whatever came before and whatever is asked after, a shutdown ends everything."""
    world = new_world(specs)
    world.take(lc.Start(tuple(specs)))
    for _ in play(world, history):
        pass
    world.take(lc.Shutdown(force))
    for _ in play(world, after):
        pass
    calm_down(world)
    assert not world.trees
    assert not world.watched
    assert all(service.state in AT_REST and not service.live for service in world.stack.services.values())

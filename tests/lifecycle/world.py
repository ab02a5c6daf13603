"""A simulated shell around the lifecycle, and what must hold after every step.

It answers actions late, in any order, or with bad news, and knows nothing of how the machine decides. What it holds true is written
from the manual's point of view, not the machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from devctl import lifecycle as lc
from devctl.lifecycle import Event, ExitStatus, Service, Stack
from devctl.model import ServiceState as S
from devctl.plan import Condition, Dependency, ServiceSpec

AT_REST = (S.STOPPED, S.COMPLETED, S.FAILED)
Key = tuple[str, int]


@dataclass
class Tree:
    """What the shell knows of one instance."""

    spawned: bool = False
    leader: bool = False
    probed: bool = False
    stopping: bool = False


@dataclass
class World:
    """A stack, its clock, and the processes that the shell believes in."""

    stack: Stack
    now: float = 100.0
    trees: dict[Key, Tree] = field(default_factory=dict)
    adopting: list[Key] = field(default_factory=list)
    watched: set[Key] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    latest: dict[str, int] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)

    # --- what may happen next ---------------------------------------------------------------------------------------------------

    def offers(self) -> list[Event]:
        """Everything that the shell could report now, likely things first."""
        found: list[Event] = []
        for (name, instance), tree in self.trees.items():
            if not tree.spawned:
                found += [lc.Spawned(name, instance), lc.SpawnFailed(name, instance, "port is busy", retry=True)]
                found += [lc.SpawnFailed(name, instance, "no such program")]
            if tree.leader:
                found += [lc.Exited(name, instance, exit) for exit in (ExitStatus(0), ExitStatus(1), ExitStatus(signal=9))]
            if tree.stopping:
                found.append(lc.Gone(name, instance))
        for name, instance in sorted(self.watched):
            found += [lc.Healthy(name, instance), lc.Unhealthy(name, instance, "refused")]
        for name, instance in self.adopting:
            found += [lc.NotAdopted(name, instance), lc.Adopted(name, instance)]
        return found

    def late(self) -> list[Event]:
        """Reports about instances that are over."""
        found: list[Event] = []
        for name, latest in self.latest.items():
            old = latest - 1 if (name, latest) in self.trees or (name, latest) in self.watched else latest
            if old < 1 or (name, old) in self.adopting:
                continue
            found += [lc.Exited(name, old, ExitStatus(1)), lc.Gone(name, old), lc.Spawned(name, old)]
            found += [lc.Healthy(name, old), lc.Unhealthy(name, old, "refused"), lc.Adopted(name, old), lc.NotAdopted(name, old)]
        return found

    # --- one step ---------------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> tuple[lc.Action, ...]:
        """Steps, carries the actions out, and checks everything."""
        before = self.stack
        copy = Stack(dict(before.services), dict(before.dependents), before.closing, dict(before.forgotten))
        self.hear(event)
        self.stack, actions = lc.step(before, event, self.now)
        assert before == copy, "step changed its input"
        assert (self.stack, actions) == lc.step(before, event, self.now), "step is not a function"
        for action in actions:
            self.perform(action)
        self.check(before, event)
        return actions

    def hear(self, event: Event) -> None:
        """Notes what people want and what the shell is about to report."""
        match event:
            case lc.Start(names, needed) if not self.stack.closing:
                alive = {name for name, service in self.stack.services.items() if not service.removed}
                self.asked |= alive & {*names, *needed}
            case lc.Restart(names) if not self.stack.closing:
                self.asked |= {name for name, service in self.stack.services.items() if not service.removed} & set(names)
            case lc.Stop(names):
                self.asked -= set(names)
            case lc.Replace(services, start) if not self.stack.closing:
                self.asked = self.asked & set(services) | set(start)
            case lc.Shutdown():
                self.asked.clear()
            case lc.Spawned(name, instance) if (tree := self.trees.get((name, instance))) is not None:
                tree.spawned = tree.leader = True
            case lc.SpawnFailed(name, instance) | lc.Gone(name, instance):
                self.trees.pop((name, instance), None)
                self.watched.discard((name, instance))
            case lc.Exited(name, instance) if (tree := self.trees.get((name, instance))) is not None:
                tree.leader = False
            case lc.Adopted(name, instance) | lc.NotAdopted(name, instance) if (name, instance) in self.adopting:
                self.adopting.remove((name, instance))

    def perform(self, action: lc.Action) -> None:
        key = action.service, action.instance
        match action:
            case lc.Spawn(name, instance):
                assert not any(other == name for other, _ in self.trees), f"two instances of {name} at once"
                assert not self.stack.closing, "a spawn after the shutdown"
                assert name in self.asked, f"{name} was stopped, and nobody asked for it since"
                assert instance > self.latest.get(name, 0), "an instance number was used twice"
                self.assert_gates(name)
                spec = self.stack.services[name].spec
                if not (spec.reuse and spec.healthcheck):
                    self.begun[name] = self.begun.get(name, 0) + 1
                self.latest[name] = instance
                self.trees[key] = Tree()
            case lc.Adopt(name, instance):
                assert not self.stack.closing, "an adoption after the shutdown"
                assert not any(other == name for other, _ in self.trees), f"{name} is ours and to be adopted at once"
                assert instance > self.latest.get(name, 0), "an instance number was used twice"
                self.assert_gates(name)
                self.begun[name] = self.begun.get(name, 0) + 1
                self.latest[name] = instance
                self.adopting.append(key)
            case lc.StopTree(name, force=force):
                assert key in self.trees, "a stop for what is gone"
                assert force or not self.trees[key].stopping, "a second gentle stop"
                self.trees[key].stopping = True
                if not force:
                    self.assert_order(name)
            case lc.Probe():
                assert key not in self.watched, "probed twice"
                self.watched.add(key)
            case lc.Unprobe():
                assert key in self.watched, "unprobed twice, or never probed"
                self.watched.remove(key)

    # --- what must hold ---------------------------------------------------------------------------------------------------------

    def assert_gates(self, name: str) -> None:
        for edge in self.stack.services[name].spec.depends_on:
            target = self.stack.services.get(edge.service)
            if target is None:
                assert not edge.required, f"{name} needs {edge.service}, which does not exist"
            else:
                good = holds(edge, target) or (not edge.required and not pending(target, edge.condition))
                assert good, f"{name} starts though {edge.service} is {target.state}"

    def assert_order(self, name: str) -> None:
        if self.stack.services[name].state is S.STOPPING:
            for other, service in self.stack.services.items():
                needs = any(edge.service == name for edge in service.spec.depends_on)
                assert not (needs and service.live and service.state is S.STOPPING), f"{name} is stopped before {other}"

    def check(self, before: Stack, event: Event) -> None:
        services = self.stack.services
        alive = {key for key, tree in self.trees.items()}
        assert alive == {(name, service.instance) for name, service in services.items() if service.live}
        wake = lc.next_wake(self.stack)
        if isinstance(event, lc.Tick):
            assert wake is None or wake > self.now, "a Tick that is due at once again"
        for name, service in services.items():
            self.check_state(name, service)
            old = before.services.get(name)
            if old is not None:
                check_counts(old, service, self.now)
            assert service.restarts <= max(0, self.begun.get(name, 0) - 1)

    def check_state(self, name: str, service: Service) -> None:
        tree = self.trees.get((name, service.instance))
        is_watched = (name, service.instance) in self.watched
        match service.state:
            case S.WAITING:
                assert service.wanted
                if service.live:
                    assert tree is not None
                    assert tree.stopping, f"{name} waits for a tree that nobody ends"
                else:
                    blockers = [edge for edge in service.spec.depends_on if blocks(edge, self.stack.services)]
                    assert blockers, f"{name} waits for nothing"
            case S.STARTING if not service.live:
                assert (name, service.instance) in self.adopting, f"{name} waits for an adoption that was never begun"
            case S.STARTING:
                assert tree is not None
                if tree.spawned:
                    assert tree.leader
                    assert service.spec.oneshot or (is_watched and service.give_up_at is not None)
            case S.BACKOFF:
                assert service.live or service.spawn_at is not None
            case S.READY:
                assert tree is not None
                assert tree.leader
            case S.STOPPING:
                assert tree is not None
                held = any(
                    other.live and other.state is S.STOPPING and any(edge.service == name for edge in other.spec.depends_on)
                    for other in self.stack.services.values()
                )
                assert tree.stopping or held, f"nobody stops {name}"
            case S.EXTERNAL:
                assert not service.live
        if service.live and service.state in (*AT_REST, S.BACKOFF):
            assert tree is not None
            assert tree.stopping, f"{name} is {service.state} and its tree is left alone"
        probes = service.spec.healthcheck is not None and not service.spec.oneshot
        should = service.state is S.EXTERNAL or (probes and service.leader and service.state in (S.STARTING, S.READY, S.UNHEALTHY))
        assert is_watched == should, f"{name} is {service.state}, probed: {is_watched}"


def holds(edge: Dependency, target: Service) -> bool:
    """What the manual says of the three conditions."""
    match edge.condition:
        case Condition.STARTED:
            return target.state in (S.READY, S.UNHEALTHY, S.EXTERNAL, S.COMPLETED) or (target.state is S.STARTING and target.leader)
        case Condition.HEALTHY:
            return target.state in (S.READY, S.EXTERNAL) or (target.state is S.COMPLETED and target.spec.oneshot)
        case Condition.COMPLETED:
            return target.state is S.COMPLETED


def pending(target: Service, condition: Condition) -> bool:
    """Whether something may still happen to `target` by itself that makes the condition hold, or is under way with it."""
    if target.state in (S.READY, S.UNHEALTHY):
        return condition is Condition.COMPLETED or target.state is S.UNHEALTHY
    return target.state in (S.WAITING, S.STARTING, S.BACKOFF, S.STOPPING)


def blocks(edge: Dependency, services: Mapping[str, Service]) -> bool:
    """Whether it is right to wait for this edge."""
    target = services.get(edge.service)
    return target is not None and not holds(edge, target) and pending(target, edge.condition)


def check_counts(old: Service, new: Service, now: float) -> None:
    """Restarts only grow, one at a time; a backoff is what the policy says."""
    assert old.instance <= new.instance
    assert new.restarts - old.restarts in (0, 1)
    if new.state is S.BACKOFF and old.state is not S.BACKOFF:
        policy = new.spec.restart
        long_up = old.up_since is not None and now - old.up_since >= policy.reset_after
        assert new.attempts == (1 if long_up else old.attempts + 1)
        assert policy.max_attempts is None or new.attempts <= policy.max_attempts
        delay = min(policy.max, policy.initial * policy.factor ** (new.attempts - 1))
        assert new.spawn_at is not None
        assert 0.899 * delay <= new.spawn_at - now <= 1.101 * delay


def new_world(specs: Mapping[str, ServiceSpec]) -> World:
    return World(lc.new_stack(specs))

"""The policy `interlock/built-in`: what holds whatever the files say. It only ever makes a decision stricter.

Rules of this module:
* `tool-definition-changed` asks when a tool is new or changed since a person saw it (SEMANTICS §1.17); it is combined
  with the other policies, so a denial stays one, and where no policy speaks the call is still denied.
* `arguments-invalid` denies arguments that do not fit the tool's inputSchema, before any rule is asked (traps T13).
* `name-too-long` denies a call whose name is longer than patterns are matched against.
* `protocol-traffic` is the name under which handshake, ping, lists and subscriptions pass and are recorded (§1.9);
  which methods those are is the wire's method table.
"""

from __future__ import annotations

from policies.arguments import ArgumentsInvalid
from policies.combine import Voice
from policies.model import Approval, Decision, Effect, OnTimeout, ToolCall, TraceStep
from policies.snapshot import PolicySnapshot

NAME = "interlock/built-in"
DEFINITION_CHANGED = f"{NAME}#tool-definition-changed"
ARGUMENTS_INVALID = f"{NAME}#arguments-invalid"
NAME_TOO_LONG = f"{NAME}#name-too-long"
PROTOCOL_TRAFFIC = f"{NAME}#protocol-traffic"

ASK_ABOUT_DEFINITION = Voice(
    ref=DEFINITION_CHANGED,
    effect=Effect.REQUIRE_APPROVAL,
    reason="The tool's definition is new or has changed since a person last looked at it",
    agent_message="The tool's definition is new or has changed; a person must look at it first.",
    approval=Approval(on_timeout=OnTimeout.DENY),  # nobody has looked: no tier lets that pass by itself
)


def step(ref: str, effect: Effect, why: str) -> TraceStep:
    """The trace line of a built-in rule that matched."""
    policy, _, rule = ref.partition("#")
    return TraceStep(policy, rule, matched=True, effect=effect, why=why)


def arguments_invalid(snapshot: PolicySnapshot, misfit: ArgumentsInvalid) -> Decision:
    """The denial of arguments that do not fit. It names the place and the schema's keyword, never the value."""
    return Decision(
        effect=Effect.DENY,
        reason=f"The arguments do not fit the tool's inputSchema: {misfit}",
        determining=(ARGUMENTS_INVALID,),
        snapshot=snapshot.id,
        trace=(step(ARGUMENTS_INVALID, Effect.DENY, str(misfit)),),
        agent_message=f"The arguments do not fit the tool's input schema: {misfit}.",
    )


def name_too_long(snapshot: PolicySnapshot) -> Decision:
    """The denial of a call no pattern could be matched against."""
    why = "The name of the server, tool or method is too long"
    return Decision(
        effect=Effect.DENY,
        reason=why,
        determining=(NAME_TOO_LONG,),
        snapshot=snapshot.id,
        trace=(step(NAME_TOO_LONG, Effect.DENY, why),),
        agent_message=f"{why}.",
    )


def protocol_traffic(call: ToolCall, snapshot: PolicySnapshot) -> Decision:
    """The decision recorded for traffic that is passed and noted rather than judged (SEMANTICS §1.9)."""
    why = f"{call.method} is protocol traffic: passed and recorded"
    return Decision(
        effect=Effect.ALLOW,
        reason=why,
        determining=(PROTOCOL_TRAFFIC,),
        snapshot=snapshot.id,
        trace=(step(PROTOCOL_TRAFFIC, Effect.ALLOW, why),),
    )

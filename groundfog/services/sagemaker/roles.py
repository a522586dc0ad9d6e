"""In whose name a program asks this server, and what else it reaches."""

import dataclasses

from groundfog.engine import Engine
from groundfog.engine.launch import Program
from groundfog.engine.resources import Document
from groundfog.wire.caller import Caller

_SESSION = "SageMaker"
"""The name of a program's session in its role, as AWS has it."""


def under(program: Program, engine: Engine, caller: Caller, given: Document) -> Program:
    """The program with its request's or its model's role, and without the network that it does without."""
    role = given.get("RoleArn") or given.get("ExecutionRoleArn", "")
    name = role.rpartition("/")[2]
    return dataclasses.replace(
        program,
        identity=f"arn:aws:sts::{caller.account}:assumed-role/{name}/{_SESSION}" if name else "",
        network="none" if given.get("EnableNetworkIsolation") else engine.network,
    )

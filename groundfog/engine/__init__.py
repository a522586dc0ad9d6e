"""What DOES the work: objects, jobs, endpoints, and the processes that run them.

No AWS in here: no ARNs, no shapes, no error codes. No torch either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

# Only named, not loaded: the agent of a host lives in this package too, and is to start in no time.
if TYPE_CHECKING:
    from groundfog.engine.endpoints import Endpoints
    from groundfog.engine.environments import Environments
    from groundfog.engine.invocations import Invocations
    from groundfog.engine.jobs import Jobs
    from groundfog.engine.keys import KeyStore
    from groundfog.engine.launch import Launcher, Network
    from groundfog.engine.logs import Logs
    from groundfog.engine.measurements import Measurements
    from groundfog.engine.objects import Objects
    from groundfog.engine.resources import Resources
    from groundfog.engine.transforms import Transforms


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What a service is given. Put together in `app.py`."""

    objects: Objects
    resources: Resources
    logs: Logs
    measurements: Measurements
    launcher: Launcher
    jobs: Jobs
    """That train."""
    processing: Jobs
    transforms: Transforms
    endpoints: Endpoints
    invocations: Invocations
    environments: Environments
    keys: KeyStore
    network: Network = "server"
    """What jobs reach, unless they ask for less."""
    runs_images: bool = False
    """Frameworks' images themselves, in containers, instead of environments that stand for them."""
